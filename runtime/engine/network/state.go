package network

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
)

// stateFile holds the records of all networks.
const stateFile = "networks.json"

// defaultSubnet is the default bridge's.
const defaultSubnet = "172.17.0.0/16"

// load reads the networks that are kept, and adds the predefined ones.
func (m *Manager) load() error {
	b, err := os.ReadFile(filepath.Join(m.o.Dir, stateFile))
	var records []record
	if err == nil {
		err = json.Unmarshal(b, &records)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("networks: %w", err)
	}
	for _, r := range records {
		m.segments[r.ID] = newSegment(r)
	}
	subnet := netip.MustParsePrefix(defaultSubnet)
	for _, r := range []record{
		{
			Name: network.NetworkBridge, Driver: driverBridge, Subnet: subnet, Gateway: subnet.Addr().Next(),
			Bridge: bridgeConfig{Interface: "docker0"},
			Options: map[string]string{
				optionDefault: "true", optionICC: "true", optionMasquerade: "true", optionHostIP: "0.0.0.0",
				optionName: "docker0", optionMTU: "1500",
			},
		},
		{Name: network.NetworkHost, Driver: driverHost},
		{Name: network.NetworkNone, Driver: driverNull},
	} {
		if m.byName(r.Name) == nil {
			r.ID, r.Created = randomID(), time.Now()
			m.segments[r.ID] = newSegment(r)
		}
	}
	return nil
}

// save writes all networks, in one step. m.mu is held.
func (m *Manager) save() error {
	records := make([]record, 0, len(m.segments))
	for _, s := range m.segments {
		records = append(records, s.record)
	}
	slices.SortFunc(records, func(a, b record) int { return a.Created.Compare(b.Created) })
	b, err := json.Marshal(records)
	if err != nil {
		return err
	}
	path := filepath.Join(m.o.Dir, stateFile)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("keep networks: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keep networks: %w", err)
	}
	return nil
}

// byName returns the network of a name, or nil. m.mu is held.
func (m *Manager) byName(name string) *segment {
	for _, s := range m.segments {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// find returns a network by ID, name or beginning of an ID, in this order, as Docker does. m.mu is held.
func (m *Manager) find(ref string) (*segment, error) {
	if s, ok := m.segments[ref]; ok {
		return s, nil
	}
	if ref == network.NetworkDefault {
		ref = network.NetworkBridge
	}
	if s := m.byName(ref); s != nil {
		return s, nil
	}
	var found []*segment
	for id, s := range m.segments {
		if ref != "" && strings.HasPrefix(id, ref) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return nil, errdefs.ErrNotFound.WithMessage(fmt.Sprintf("network %s not found", ref))
	case 1:
		return found[0], nil
	}
	return nil, errdefs.ErrInvalidArgument.WithMessage(
		fmt.Sprintf("network %s is ambiguous (%d matches found based on ID prefix)", ref, len(found)))
}

// randomID is 64 hexadecimal digits.
func randomID() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand
	return hex.EncodeToString(b)
}
