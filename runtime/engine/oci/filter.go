package oci

import (
	"encoding/binary"
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/oci/syscalls"
)

// Offsets in struct seccomp_data: seccomp(2). Both architectures that berth runs on are little endian.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
	argSize   = 8
)

// x32 marks the numbers of the x32 ABI of amd64.
const x32 = 0x40000000

// maxInstructions is the kernel's limit: BPF_MAXINSNS.
const maxInstructions = 4096

// compileFilter makes of a profile the program that runc has libseccomp make: for the machine's own architecture, with numbers
// that are newer than the profile not there (ENOSYS), so that programs fall back to what they know.
func compileFilter(p *specs.LinuxSeccomp) ([]byte, error) {
	arch, err := boot.AuditArch()
	if err != nil {
		return nil, err
	}
	otherwise, err := verdict(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	blocks, highest, err := filterBlocks(p, otherwise)
	if err != nil {
		return nil, err
	}
	missing := bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		missing,
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1},
		missing,
	}
	if otherwise != unix.SECCOMP_RET_ALLOW && otherwise != unix.SECCOMP_RET_LOG {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: highest, SkipTrue: 1}, missing)
	}
	for _, b := range blocks {
		if len(b.code) > 255 { // further than a conditional jump reaches
			prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: b.number, SkipTrue: 1}, bpf.Jump{Skip: uint32(len(b.code))})
		} else {
			prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: b.number, SkipTrue: uint8(len(b.code))})
		}
		prog = append(prog, b.code...)
	}
	prog = append(prog, bpf.RetConstant{Val: otherwise})
	if len(prog) > maxInstructions {
		return nil, fmt.Errorf("the system call filter has %d instructions, more than the kernel takes (%d)", len(prog), maxInstructions)
	}
	return encodeFilter(prog)
}

func encodeFilter(prog []bpf.Instruction) ([]byte, error) {
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(raw)*unix.SizeofSockFilter)
	for _, r := range raw {
		out = binary.LittleEndian.AppendUint16(out, r.Op)
		out = append(out, r.Jt, r.Jf)
		out = binary.LittleEndian.AppendUint32(out, r.K)
	}
	return out, nil
}

// block is what is decided about one system call, to the end: its code falls off nowhere.
type block struct {
	number uint32
	code   []bpf.Instruction
	args   bool // its arguments are looked at
}

// filterBlocks gathers the rules by system call. As with libseccomp, a rule that looks at no arguments decides alone, the first
// of its kind; and one that says what is said anyway is none.
func filterBlocks(p *specs.LinuxSeccomp, otherwise uint32) (blocks []*block, highest uint32, err error) {
	known := map[uint32]*block{}
	for _, rule := range p.Syscalls {
		says, err := verdict(rule.Action, rule.ErrnoRet)
		if err != nil {
			return nil, 0, err
		}
		codes, err := ruleCode(rule.Args, says)
		if err != nil {
			return nil, 0, err
		}
		for _, name := range rule.Names {
			number, ok := syscalls.Number(name)
			if !ok {
				continue // of another architecture, or newer than we are
			}
			highest = max(highest, number)
			if says == otherwise {
				continue
			}
			b := known[number]
			if b == nil {
				b = &block{number: number, args: true}
				known[number], blocks = b, append(blocks, b)
			}
			switch {
			case !b.args: // decided
			case len(rule.Args) == 0:
				b.code, b.args = codes, false
			default:
				b.code = append(b.code, codes...)
			}
		}
	}
	for _, b := range blocks {
		if b.args {
			b.code = append(b.code, bpf.RetConstant{Val: otherwise})
		}
	}
	// Those that look at arguments are not in the kernel's bitmap of what is allowed anyway (5.11): they come first.
	slices.SortStableFunc(blocks, func(a, b *block) int {
		switch {
		case a.args == b.args:
			return 0
		case a.args:
			return -1
		}
		return 1
	})
	return blocks, highest, nil
}

// verdict is an action as a filter returns it.
func verdict(a specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	data := uint32(unix.EPERM)
	if errno != nil {
		data = uint32(*errno) & unix.SECCOMP_RET_DATA
	}
	switch a {
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActErrno:
		return unix.SECCOMP_RET_ERRNO | data, nil
	case specs.ActTrace:
		return unix.SECCOMP_RET_TRACE | data, nil
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	case specs.ActNotify: // there is nobody to be notified
	}
	return 0, fmt.Errorf("seccomp action %q is not supported in this playground", a)
}

// ruleCode is the code of a rule: it returns what the rule says, or goes on behind its end. Conditions hold together, except
// that those of a rule that looks twice at an argument are rules of their own, as runc has it.
func ruleCode(args []specs.LinuxSeccompArg, says uint32) ([]bpf.Instruction, error) {
	groups := [][]specs.LinuxSeccompArg{args}
	seen := map[uint]bool{}
	for _, a := range args {
		if seen[a.Index] {
			groups = nil
			for _, alone := range args {
				groups = append(groups, []specs.LinuxSeccompArg{alone})
			}
			break
		}
		seen[a.Index] = true
	}
	var code []bpf.Instruction
	for _, g := range groups {
		var rule []bpf.Instruction
		for i := len(g) - 1; i >= 0; i-- { // the last first: each has to know how far it is to the end
			c, err := condition(g[i], uint8(len(rule)+1))
			if err != nil {
				return nil, err
			}
			rule = append(c, rule...)
		}
		code = append(append(code, rule...), bpf.RetConstant{Val: says})
	}
	return code, nil
}

// condition is the code of a condition: it goes on where it holds, and else skips as many instructions as follow it, which are
// the rest of the rule. Arguments have 64 bits and the machine 32: the high half is looked at first.
func condition(a specs.LinuxSeccompArg, rest uint8) ([]bpf.Instruction, error) {
	if a.Index > 5 {
		return nil, fmt.Errorf("seccomp: a system call has no argument %d", a.Index)
	}
	low := bpf.LoadAbsolute{Off: offArgs + argSize*uint32(a.Index), Size: 4}
	high := bpf.LoadAbsolute{Off: low.Off + 4, Size: 4}
	hi, lo := uint32(a.Value>>32), uint32(a.Value)
	is := func(c bpf.JumpTest, v uint32, yes, no uint8) bpf.JumpIf {
		return bpf.JumpIf{Cond: c, Val: v, SkipTrue: yes, SkipFalse: no}
	}
	// ordered decides by the high half where it differs, and by the low one where it does not.
	ordered := func(above, atLow bpf.JumpTest) []bpf.Instruction {
		return []bpf.Instruction{high, is(above, hi, 3, 0), is(bpf.JumpEqual, hi, 0, rest+2), low, is(atLow, lo, 0, rest)}
	}
	switch a.Op {
	case specs.OpEqualTo:
		return []bpf.Instruction{high, is(bpf.JumpEqual, hi, 0, rest+2), low, is(bpf.JumpEqual, lo, 0, rest)}, nil
	case specs.OpNotEqual:
		return []bpf.Instruction{high, is(bpf.JumpEqual, hi, 0, 2), low, is(bpf.JumpEqual, lo, rest, 0)}, nil
	case specs.OpGreaterThan:
		return ordered(bpf.JumpGreaterThan, bpf.JumpGreaterThan), nil
	case specs.OpGreaterEqual:
		return ordered(bpf.JumpGreaterThan, bpf.JumpGreaterOrEqual), nil
	case specs.OpLessThan:
		return ordered(bpf.JumpLessThan, bpf.JumpLessThan), nil
	case specs.OpLessEqual:
		return ordered(bpf.JumpLessThan, bpf.JumpLessOrEqual), nil
	case specs.OpMaskedEqual: // Value is the mask
		and := func(v uint64) bpf.Instruction { return bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: uint32(v)} }
		return []bpf.Instruction{
			high, and(a.Value >> 32), is(bpf.JumpEqual, uint32(a.ValueTwo>>32), 0, rest+3),
			low, and(a.Value), is(bpf.JumpEqual, uint32(a.ValueTwo), 0, rest),
		}, nil
	}
	return nil, fmt.Errorf("seccomp operator %q is not known", a.Op)
}

// filterFlags are the profile's flags for seccomp(2); runc's default where it names none.
func filterFlags(p *specs.LinuxSeccomp) (flags uint32, err error) {
	if p.Flags == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil
	}
	for _, f := range p.Flags {
		switch f {
		case "SECCOMP_FILTER_FLAG_TSYNC": // of one thread there is nothing to synchronize
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case specs.LinuxSeccompFlagWaitKillableRecv: // of filters that notify
		default:
			return 0, fmt.Errorf("seccomp flag %s is not known", f)
		}
	}
	return flags, nil
}
