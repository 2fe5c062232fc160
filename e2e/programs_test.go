package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/e2e/fixture"
	"github.com/lpbuild/lpbuild/versions"
)

// TestProgramsForShippedBuilds builds a program that leans on everything around
// libc (start files, wrappers, threads, libm, dlopen) for every shipped glibc,
// and runs it on that very build.
func TestProgramsForShippedBuilds(t *testing.T) {
	needs(t, "gcc", "ld", "createrepo_c")
	repo, err := fixture.New(t.Context(), fixture.Options{Glibc: true})
	if err != nil {
		t.Fatal(err)
	}
	project, store := t.TempDir(), t.TempDir()
	_, err = versions.Download(t.Context(), versions.Request{
		Packages: []string{"glibc"}, Arches: []string{"x86_64"}, Libraries: []string{"/lib64/libc.so.6"},
		Repositories: []versions.Repository{{Name: "fixture", URL: "file://" + repo.Dir, Keys: []string{repo.KeyFile}}},
		ProjectDir:   project,
	}, versions.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	builds, err := versions.ReadRecords(project)
	if err != nil || len(builds) < 5 {
		t.Fatalf("%d builds, %v", len(builds), err)
	}
	unpacked, err := versions.OpenStore(store)
	if err != nil {
		t.Fatal(err)
	}
	const prints = "constructed 1 sum 41 mine 7 child 5 number 12\natexit\ndestructor\n"
	for _, b := range builds {
		t.Run(b.NEVRA, func(t *testing.T) {
			libraries, err := unpacked.LibraryDir(b)
			if err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(t.TempDir(), "program")
			err = builder.BuildProgram(t.Context(), "../builder/testdata/program.c", program, builder.ProgramEnv{LibraryDir: libraries})
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), program, "12").CombinedOutput()
			if err != nil || string(out) != prints {
				t.Errorf("printed %q, want %q: %v", out, prints, err)
			}
		})
	}
}
