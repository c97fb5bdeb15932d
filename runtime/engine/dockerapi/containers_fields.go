package dockerapi

const (
	hostConfig    = "HostConfig."
	mountsField   = hostConfig + "Mounts."
	endpointField = "NetworkingConfig.EndpointsConfig."
)

// Reasons why a field that has no effect is none that a client would miss.
const (
	forWindows = "Docker's daemon has no use for it on Linux either"
	shownOnly  = "it is kept and shown, and means nothing to Docker's daemon either"
	byTheHost  = "the daemon fills it in; what clients send is not looked at in Docker either"
	noDevices  = "no device node can be made in a sandbox: there is nothing that a rule could allow"
)

// configFields are those of container.Config.
func configFields(under string) fields {
	return fields{}.
		ok(under, `Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env Cmd
			Healthcheck Healthcheck.Test Healthcheck.Interval Healthcheck.Timeout Healthcheck.StartPeriod Healthcheck.StartInterval
			Healthcheck.Retries Image Volumes WorkingDir Entrypoint NetworkDisabled Labels StopSignal StopTimeout Shell`).
		idle(under, "OnBuild", shownOnly).
		idle(under, "ArgsEscaped", forWindows)
}

// resourceFields are those of container.Resources.
func resourceFields(f fields, under string) fields {
	return f.
		ok(under, `CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice BlkioWeightDevice.Path
			BlkioWeightDevice.Weight BlkioDeviceReadBps BlkioDeviceReadBps.Path BlkioDeviceReadBps.Rate BlkioDeviceWriteBps
			BlkioDeviceWriteBps.Path BlkioDeviceWriteBps.Rate BlkioDeviceReadIOps BlkioDeviceReadIOps.Path BlkioDeviceReadIOps.Rate
			BlkioDeviceWriteIOps BlkioDeviceWriteIOps.Path BlkioDeviceWriteIOps.Rate CpuPeriod CpuQuota CpusetCpus CpusetMems
			Devices Devices.PathOnHost Devices.PathInContainer Devices.CgroupPermissions MemoryReservation MemorySwap
			MemorySwappiness OomKillDisable PidsLimit Ulimits Ulimits.Name Ulimits.Hard Ulimits.Soft
			DeviceRequests DeviceRequests.Driver DeviceRequests.Count DeviceRequests.DeviceIDs DeviceRequests.Capabilities
			DeviceRequests.Options`).
		idle(under, "DeviceCgroupRules", noDevices).
		no(under, "CpuRealtimePeriod CpuRealtimeRuntime CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth")
}

// createFields are those of container.CreateRequest.
var createFields = resourceFields(configFields(""), hostConfig).
	ok("", "HostConfig NetworkingConfig NetworkingConfig.EndpointsConfig").
	ok(hostConfig, `Binds LogConfig LogConfig.Type LogConfig.Config NetworkMode PortBindings PortBindings.HostIp
		PortBindings.HostPort RestartPolicy RestartPolicy.Name RestartPolicy.MaximumRetryCount AutoRemove VolumeDriver VolumesFrom
		ConsoleSize Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Links OomScoreAdj
		PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt Tmpfs UTSMode UsernsMode ShmSize Sysctls Runtime Umask
		Isolation Mounts MaskedPaths ReadonlyPaths Init`).
	idle(hostConfig, "ContainerIDFile", "the client writes the file").
	no(hostConfig, "Cgroup StorageOpt").
	ok(mountsField, `Type Source Target ReadOnly BindOptions BindOptions.Propagation BindOptions.NonRecursive
		BindOptions.CreateMountpoint BindOptions.ReadOnlyNonRecursive BindOptions.ReadOnlyForceRecursive VolumeOptions
		VolumeOptions.NoCopy VolumeOptions.Labels VolumeOptions.Subpath VolumeOptions.DriverConfig VolumeOptions.DriverConfig.Name
		VolumeOptions.DriverConfig.Options TmpfsOptions TmpfsOptions.SizeBytes TmpfsOptions.Mode TmpfsOptions.Options`).
	idle(mountsField, "Consistency", "it is for Docker Desktop").
	no(mountsField, "ImageOptions ImageOptions.Subpath ClusterOptions").
	ok(endpointField, `IPAMConfig IPAMConfig.IPv4Address IPAMConfig.IPv6Address IPAMConfig.LinkLocalIPs Links Aliases DriverOpts
		GwPriority MacAddress`).
	idle(endpointField, `NetworkID EndpointID Gateway IPAddress IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen
		DNSNames`, byTheHost)

// updateFields are those of container.UpdateConfig. What Docker's daemon does not change in a container that there is, is
// refused.
var updateFields = fields{}.
	ok("", `CpuShares Memory NanoCpus BlkioWeight CpuPeriod CpuQuota CpusetCpus CpusetMems MemoryReservation MemorySwap PidsLimit
		RestartPolicy RestartPolicy.Name RestartPolicy.MaximumRetryCount`).
	idle("", "CgroupParent DeviceCgroupRules", "Docker's daemon does not look at it in an update").
	idle("", `BlkioWeightDevice BlkioWeightDevice.Path BlkioWeightDevice.Weight BlkioDeviceReadBps BlkioDeviceReadBps.Path
		BlkioDeviceReadBps.Rate BlkioDeviceWriteBps BlkioDeviceWriteBps.Path BlkioDeviceWriteBps.Rate BlkioDeviceReadIOps
		BlkioDeviceReadIOps.Path BlkioDeviceReadIOps.Rate BlkioDeviceWriteIOps BlkioDeviceWriteIOps.Path BlkioDeviceWriteIOps.Rate
		Devices Devices.PathOnHost Devices.PathInContainer Devices.CgroupPermissions Ulimits Ulimits.Name Ulimits.Hard Ulimits.Soft
		DeviceRequests DeviceRequests.Driver DeviceRequests.Count DeviceRequests.DeviceIDs DeviceRequests.Capabilities
		DeviceRequests.Options MemorySwappiness OomKillDisable`, "Docker's daemon does not look at it in an update").
	no("", "CpuRealtimePeriod CpuRealtimeRuntime CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth")

// commitFields are those of the configuration that a commit may bring.
var commitFields = configFields("")

// execFields are those of container.ExecCreateRequest.
var execFields = fields{}.ok("", `User Privileged Tty ConsoleSize AttachStdin AttachStderr AttachStdout DetachKeys Env WorkingDir Cmd`)

// execStartFields are those of container.ExecStartRequest.
var execStartFields = fields{}.ok("", "Detach Tty ConsoleSize")
