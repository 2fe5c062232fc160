package pipeline

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// An observed process is looked at from outside, through /proc only and
// without the injector's code: what the test proves must not rest on the code
// under test.
type observed struct {
	pid   int
	start uint64 // field 22 of stat
}

func observe(pid int) (observed, error) {
	start, err := startTime(pid)
	return observed{pid, start}, err
}

func (o observed) file(name string) string {
	return fmt.Sprintf("/proc/%d/%s", o.pid, name)
}

func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command's name, in parentheses, may hold anything; 22 is the 20th field after it.
	_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// undisturbed checks that this is the process that was started, that nothing
// was preloaded into it and that nobody traces it.
func (o observed) undisturbed() error {
	start, err := startTime(o.pid)
	if err != nil {
		return err
	}
	if start != o.start {
		return fmt.Errorf("pid %d is another process now", o.pid)
	}
	environ, err := os.ReadFile(o.file("environ"))
	if err != nil {
		return err
	}
	for _, v := range bytes.Split(environ, []byte{0}) {
		if bytes.HasPrefix(v, []byte("LD_PRELOAD=")) {
			return fmt.Errorf("pid %d: %s", o.pid, v)
		}
	}
	return o.untraced()
}

func (o observed) untraced() error {
	threads, err := filepath.Glob(o.file("task/*/status"))
	if err != nil {
		return err
	}
	if len(threads) == 0 {
		return fmt.Errorf("pid %d: no threads", o.pid)
	}
	for _, status := range threads {
		data, err := os.ReadFile(status)
		if err != nil {
			return err
		}
		_, rest, found := strings.Cut(string(data), "\nTracerPid:")
		tracer, _, _ := strings.Cut(rest, "\n")
		if !found || strings.TrimSpace(tracer) != "0" {
			return fmt.Errorf("%s: TracerPid is %s", status, strings.TrimSpace(tracer))
		}
	}
	return nil
}

// base returns the address at which the process has the build's library,
// found by the build-id of the file that is really mapped, whatever its name.
func (o observed) base(build *elfinfo.Build) (uint64, error) {
	maps, err := os.ReadFile(o.file("maps"))
	if err != nil {
		return 0, err
	}
	var seen []string
	for line := range strings.Lines(string(maps)) {
		// start-end perms offset dev inode path; see proc_pid_maps(5)
		fields := strings.Fields(line)
		if len(fields) < 6 || strings.Trim(fields[2], "0") != "" || fields[4] == "0" {
			continue
		}
		base, id, err := mappedBuild(o.file("map_files/"+fields[0]), fields[0])
		if errors.Is(err, elfinfo.ErrFormat) {
			continue // a data file
		} else if err != nil {
			return 0, err
		}
		if id == build.BuildID {
			return base, nil
		}
		seen = append(seen, fmt.Sprintf("%s (%s)", fields[5], id))
	}
	return 0, fmt.Errorf("pid %d does not map build-id %s, but %s", o.pid, build.BuildID, strings.Join(seen, ", "))
}

// mappedBuild returns the build-id of a mapped file, and its load address given
// the range at which its first byte is mapped.
func mappedBuild(name, addresses string) (uint64, elfinfo.BuildID, error) {
	low, _, _ := strings.Cut(addresses, "-")
	start, err := strconv.ParseUint(low, 16, 64)
	if err != nil {
		return 0, "", err
	}
	f, err := elfinfo.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	for _, s := range f.Segments() {
		if s.Type == elf.PT_LOAD && s.Off < 4096 {
			return start - s.Vaddr&^4095, f.BuildID(), nil
		}
	}
	return 0, f.BuildID(), nil
}

// intact checks that every function that the container replaces, for this patch
// or another one of the set, has the bytes of the record in the process.
func (o observed) intact(container *livepatch.Container, build *elfinfo.Build) error {
	base, err := o.base(build)
	if err != nil {
		return err
	}
	mem, err := os.Open(o.file("mem"))
	if err != nil {
		return err
	}
	defer mem.Close()
	for _, u := range container.Apply.Units {
		f := functionAt(build, u.Address)
		if f == nil {
			return fmt.Errorf("%s: no function at %#x in the record", u.Old, u.Address)
		}
		got := make([]byte, len(f.Bytes))
		if _, err := mem.ReadAt(got, int64(base+f.Address)); err != nil {
			return fmt.Errorf("pid %d: %s: %w", o.pid, u.Old, err)
		}
		for i := range got {
			if got[i] != f.Bytes[i] {
				return fmt.Errorf("pid %d: %s+%#x: % x in memory, % x in the library", o.pid, u.Old, i,
					got[i:min(i+8, len(got))], f.Bytes[i:min(i+8, len(got))])
			}
		}
	}
	return nil
}

// functionAt is a function of the record by its address, whatever its name; nil
// if there is none.
func functionAt(build *elfinfo.Build, address uint64) *elfinfo.Function {
	for _, all := range build.Functions {
		for i := range all {
			if all[i].Address == address {
				return &all[i]
			}
		}
	}
	return nil
}
