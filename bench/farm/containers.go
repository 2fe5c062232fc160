package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// perVersion makes one container for each version as it is done without
// lpbuild: compile, link, add the sections of metadata. $1 is the source, $2
// how many, $3 the folder. The metadata is there already.
const perVersion = `set -e
head -c 600 /dev/zero >"$3/meta"
i=0
while [ $i -lt "$2" ]; do
	gcc -O2 -g -fPIC -shared -DVERSION=$i -o "$3/$i.so" "$1"
	objcopy --add-section .ulp="$3/meta" --add-section .ulp.rev="$3/meta" --strip-debug "$3/$i.so"
	i=$((i + 1))
done`

// made is the cost of making all containers of a project.
func (f *farm) made(ctx context.Context, project string, cold bool) (cost, error) {
	cache := project + "-cache"
	if cold {
		if err := errors.Join(os.RemoveAll(cache), os.RemoveAll(filepath.Join(project, "build"))); err != nil {
			return cost{}, err
		}
	}
	return f.lpbuild(ctx, project, cache, "make")
}

// hundred measures 100 containers of one source.
func (f *farm) hundred(ctx context.Context) error {
	const builds = 100
	project, err := f.synthetic(builds)
	if err != nil {
		return err
	}
	source, out := filepath.Join(project, "livepatches", "malloc", "malloc.c"), f.path("by-hand")
	var cold, unchanged, hand figure
	for range f.rounds {
		if err := f.coldAndUnchanged(ctx, project, &cold, &unchanged); err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(out), os.Mkdir(out, 0o777)); err != nil {
			return err
		}
		c, err := f.run(ctx, f.dir, "sh", "-c", perVersion, "sh", source, fmt.Sprint(builds), out)
		if err != nil {
			return err
		}
		hand = append(hand, c)
	}
	if err := containers(project, builds); err != nil {
		return err
	}
	header(fmt.Sprintf("%d containers of one source", builds), "times as long, by the clock and in processor time")
	line("lpbuild make, cold", cold, cold.ratio(hand))
	line("lpbuild make, nothing changed", unchanged, unchanged.ratio(hand))
	line("gcc and objcopy for each, unchecked", hand, hand.ratio(hand))
	return nil
}

// coldAndUnchanged makes the containers with an empty cache, and once more.
func (f *farm) coldAndUnchanged(ctx context.Context, project string, cold, unchanged *figure) error {
	for _, m := range []struct {
		figure *figure
		empty  bool
	}{{cold, true}, {unchanged, false}} {
		c, err := f.made(ctx, project, m.empty)
		if err != nil {
			return err
		}
		*m.figure = append(*m.figure, c)
	}
	return nil
}

// thousand measures how time and memory grow with the number of builds.
func (f *farm) thousand(ctx context.Context) error {
	header("lpbuild make", "ms for each build, of processors, MiB at most")
	for _, builds := range []int{100, 300, 1000} {
		project := f.path(fmt.Sprint(builds))
		if _, err := os.Stat(project); err != nil {
			if project, err = f.synthetic(builds); err != nil {
				return err
			}
		}
		var cold, unchanged figure
		for range f.rounds {
			if err := f.coldAndUnchanged(ctx, project, &cold, &unchanged); err != nil {
				return err
			}
		}
		if err := containers(project, builds); err != nil {
			return err
		}
		each := func(g figure) string {
			const ms = 1000
			return fmt.Sprintf("%.1f, %.1f, %d", ms*g.median(took)/float64(builds), ms*g.median(cpu)/float64(builds), g.memory())
		}
		line(fmt.Sprintf("%d builds, cold", builds), cold, each(cold))
		line(fmt.Sprintf("%d builds, nothing changed", builds), unchanged, each(unchanged))
	}
	return nil
}

// containers fails if a project has not as many.
func containers(project string, want int) error {
	found, err := filepath.Glob(filepath.Join(project, "build", "*.so"))
	if err == nil && len(found) != want {
		err = fmt.Errorf("%s: %d containers, want %d", project, len(found), want)
	}
	return err
}
