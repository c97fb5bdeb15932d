package unpack_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
	"berth/runtime/imagecache/unpack"
)

const (
	probeCommand = "overlay-probe"
	probeIDs     = 0x6000_0000 // another range than the unpacker's, as a session's is
)

// seen is what the probe saw of one name in the overlay.
type seen struct {
	Mode     uint32
	UID, GID uint32
	Rdev     uint64
	Caps     []byte // security.capability as a process in the sandbox reads it
}

// overlayProbe is the other side of TestOverlay: root of a user namespace, which mounts the layers that it is given,
// highest first, as a sandbox does, writes below, and tells what it sees.
func overlayProbe(dirs []string) error {
	buf, oob := make([]byte, 16), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(3, buf, oob, 0)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "") },
		func() error { return os.MkdirAll("/mnt/layers", 0o755) },
		func() error { return os.MkdirAll("/mnt/rw/upper", 0o755) },
		func() error { return os.MkdirAll("/mnt/rw/work", 0o755) },
		func() error { return os.MkdirAll("/mnt/root", 0o755) },
		func() error {
			return unix.MoveMount(fds[0], "", unix.AT_FDCWD, "/mnt/layers", unix.MOVE_MOUNT_F_EMPTY_PATH)
		},
		func() error { return os.Chdir("/mnt/layers") },
		func() error {
			return unix.Mount("overlay", "/mnt/root", "overlay", 0,
				"userxattr,lowerdir="+strings.Join(dirs, ":")+",upperdir=/mnt/rw/upper,workdir=/mnt/rw/work")
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	tree := map[string]seen{}
	err = filepath.Walk("/mnt/root", func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		s := seen{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Rdev: st.Rdev}
		value := make([]byte, 64)
		if n, err := unix.Lgetxattr(path, "security.capability", value); err == nil {
			s.Caps = value[:n]
		}
		tree[strings.TrimPrefix(path, "/mnt/root")] = s
		return nil
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(tree)
}

// mountInSandbox unpacks the layers, lowest first, and returns what a sandbox sees of them.
func mountInSandbox(t *testing.T, layers ...[]byte) map[string]seen {
	t.Helper()
	base := t.TempDir()
	var dirs []string
	for i, l := range layers {
		name := fmt.Sprint("l", i)
		dirs = append([]string{name}, dirs...)
		if err := os.Mkdir(filepath.Join(base, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := unpack.Layer(t.Context(), filepath.Join(base, name), stream(l), unpack.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", append([]string{probeCommand}, dirs...)...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &out, &stderr, []*os.File{theirs}
	ids := []syscall.SysProcIDMap{{HostID: probeIDs, Size: 65536}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids,
		GidMappingsEnableSetgroups: true, Credential: &syscall.Credential{},
	}
	if err := chroot.Thread(cmd.Start); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	sendMount(t, ours, base, cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	tree := map[string]seen{}
	if err := json.Unmarshal(out.Bytes(), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func sendMount(t *testing.T, to *os.File, dir string, pid int) {
	t.Helper()
	userns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer userns.Close()
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_RDONLY, Userns_fd: uint64(userns.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, attr); err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(int(to.Fd()), []byte("x"), unix.UnixRights(fd), nil, 0); err != nil {
		t.Fatal(err)
	}
}

func TestOverlayInASandbox(t *testing.T) {
	needRoot(t)
	// cap_net_raw=ep, version 2 (struct vfs_cap_data, linux/capability.h): what tars carry.
	caps := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	lower := archive(t, file("gone", "x"), dir("emptied"), file("emptied/old", "x"), dir("removed"), file("removed/old", "x"),
		dir("remade"), file("remade/old", "x"), dir("remade2"), file("remade2/old", "x"), file("kept", "x"), dir("merged"), file("merged/low", "x"))
	upper := archive(t,
		file(".wh.gone", ""), file("emptied/.wh..wh..opq", ""), file("emptied/new", "x"), file(".wh.removed", ""),
		file(".wh.remade", ""), dir("remade"), file("remade/new", "x"), // removed and made again, in either order
		file("remade2/new", "x"), file(".wh.remade2", ""),
		file("merged/high", "x"), file(".wh..wh.plnk", "aufs"),
		entry{Header: tar.Header{Name: "setuid", Mode: 0o4755, Uid: 0}},
		entry{Header: tar.Header{Name: "owned", Mode: 0o640, Uid: 33, Gid: 65534}},
		entry{Header: tar.Header{Name: "capable", PAXRecords: map[string]string{
			"SCHILY.xattr.security.capability": string(caps),
		}}},
	)
	tree := mountInSandbox(t, lower, upper)
	for _, name := range []string{"/gone", "/emptied/old", "/removed", "/remade/old", "/remade2/old", "/.wh..wh.plnk", "/.wh.gone"} {
		if _, ok := tree[name]; ok {
			t.Errorf("%s is there", name)
		}
	}
	for _, name := range []string{"/kept", "/emptied/new", "/remade/new", "/remade2/new", "/merged/low", "/merged/high"} {
		if _, ok := tree[name]; !ok {
			t.Errorf("%s is not there", name)
		}
	}
	if s := tree["/setuid"]; s.Mode&0o7777 != 0o4755 || s.UID != 0 {
		t.Errorf("setuid is %+v", s)
	}
	if s := tree["/owned"]; s.Mode&0o7777 != 0o640 || s.UID != 33 || s.GID != 65534 {
		t.Errorf("owned is %+v", s)
	}
	// In the sandbox the version 3 attribute, whose root is the sandbox's own, reads as version 2 again.
	if s := tree["/capable"]; !bytes.Equal(s.Caps, caps) {
		t.Errorf("capabilities are %x", s.Caps)
	}
}

func runProbe(args []string) (int, bool) {
	if len(args) < 2 || args[1] != probeCommand {
		return 0, false
	}
	if err := overlayProbe(args[2:]); err != nil {
		_, _ = io.WriteString(os.Stderr, err.Error())
		return 1, true
	}
	return 0, true
}
