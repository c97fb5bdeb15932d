package container

import (
	"context"
	"fmt"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// Update changes a container's limits and restart policy; what is zero stays as it is.
func (m *Manager) Update(ctx context.Context, ref string, u api.UpdateConfig) (api.UpdateResponse, error) {
	r := api.UpdateResponse{Warnings: []string{}}
	c, err := m.Get(ref)
	if err != nil {
		return r, err
	}
	warnings, err := m.checkResources(&u.Resources, true)
	r.Warnings = append(r.Warnings, warnings...)
	if err != nil {
		return r, err
	}
	if u.RestartPolicy.Name != "" {
		if err := api.ValidateRestartPolicy(u.RestartPolicy); err != nil {
			return r, invalid("%v", err)
		}
	}
	ctx = context.WithoutCancel(ctx) // a client that goes away leaves no limits half set
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	host, run, s := *c.host, c.run, c.rec.State
	c.mu.Unlock()
	switch {
	case s.Removing || s.Dead:
		return r, cannotUpdate(c, conflict("container is marked for removal and cannot be \"update\""))
	case host.AutoRemove && u.RestartPolicy.Name != "" && !u.RestartPolicy.IsNone():
		return r, invalid("Restart policy cannot be updated because AutoRemove is enabled for the container")
	}
	if err := updateResources(&host.Resources, u.Resources); err != nil {
		return r, cannotUpdate(c, err)
	}
	if u.RestartPolicy.Name != "" {
		host.RestartPolicy = u.RestartPolicy
	}
	if run != nil {
		if err := m.o.Runtime.Update(ctx, c.id, m.o.Runtime.Cgroups.Resources(host.Resources)); err != nil {
			return r, cannotUpdate(c, err)
		}
	}
	c.mu.Lock()
	c.host = &host // not changed in place: others read it
	err = c.saveHost()
	c.mu.Unlock()
	m.publish(c, events.ActionUpdate, nil)
	return r, err
}

// updateResources sets what u says.
func updateResources(r *api.Resources, u api.Resources) error {
	if u.NanoCPUs > 0 && (r.CPUPeriod > 0 || r.CPUQuota > 0) {
		return conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period/Quota has already been set")
	}
	if (u.CPUPeriod > 0 || u.CPUQuota > 0) && r.NanoCPUs > 0 {
		return conflict("Conflicting options: CPU Period/Quota cannot be updated as NanoCPUs has already been set")
	}
	if u.Memory != 0 && u.MemorySwap == 0 && r.MemorySwap > 0 && u.Memory > r.MemorySwap {
		return conflict("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
	}
	for _, n := range []struct{ to, from *int64 }{
		{&r.CPUShares, &u.CPUShares},
		{&r.CPUPeriod, &u.CPUPeriod},
		{&r.CPUQuota, &u.CPUQuota},
		{&r.NanoCPUs, &u.NanoCPUs},
		{&r.Memory, &u.Memory},
		{&r.MemorySwap, &u.MemorySwap},
		{&r.MemoryReservation, &u.MemoryReservation},
	} {
		if *n.from != 0 {
			*n.to = *n.from
		}
	}
	if u.CpusetCpus != "" {
		r.CpusetCpus = u.CpusetCpus
	}
	if u.CpusetMems != "" {
		r.CpusetMems = u.CpusetMems
	}
	if u.BlkioWeight != 0 {
		r.BlkioWeight = u.BlkioWeight
	}
	if u.PidsLimit != nil {
		r.PidsLimit = u.PidsLimit
	}
	return nil
}

func cannotUpdate(c *Container, why error) error {
	return fmt.Errorf("Cannot update container %s: %w", c.id, why) //nolint:staticcheck // Docker's words
}
