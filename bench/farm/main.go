// Farm measures what those wait for who patch many shipped builds, beside the
// ways people do it now, in one run on one machine:
//
//	go run ./bench/farm [-rounds N] [-keep]
//
// It takes the builds of glibc that this machine's package archive offers, with
// their debug symbols: their catalogue is made by lpbuild download and by hand.
// Of their records it makes those of up to a thousand builds, which differ from
// the real ones in name and build-id alone, and makes containers and a source
// package of them. All times are of whole commands, from the start to the end
// of the process; only their ratios carry over to another machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/lpbuild/lpbuild/e2e/fixture"
)

func main() {
	rounds := flag.Int("rounds", 5, "repetitions of each measurement")
	keep := flag.Bool("keep", false, "leave the projects where they are, and say where that is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, *rounds, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// A farm is where it happens: dir holds the program, projects and caches.
type farm struct {
	dir    string
	rounds int
	repo   *fixture.Repository
}

func (f *farm) path(name string) string { return filepath.Join(f.dir, name) }

func bench(ctx context.Context, rounds int, keep bool) (err error) {
	if rounds < 1 {
		return fmt.Errorf("%d rounds", rounds)
	}
	dir, err := os.MkdirTemp("", "lpbuild-farm-")
	if err != nil {
		return err
	}
	if keep {
		fmt.Println(dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	f := &farm{dir: dir, rounds: rounds}
	if err := f.prepare(ctx); err != nil {
		return err
	}
	fmt.Printf("seconds: median (minimum … maximum) of %d\n", rounds)
	for _, part := range []func(context.Context) error{f.catalogue, f.hundred, f.thousand, f.packages} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare builds the program, and the repository if it is not there yet.
func (f *farm) prepare(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", f.path("lpbuild"), "./cmd/lpbuild")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	var err error
	f.repo, err = fixture.New(ctx, fixture.Options{Glibc: true})
	return err
}
