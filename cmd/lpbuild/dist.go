package main

import (
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/pipeline"
)

// packageFlags are those of dist and rpm.
func packageFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "release", Value: "1", Usage: "`RELEASE` of the package"},
		&urfave.PathFlag{Name: "output", Aliases: []string{"o"}, DefaultText: "dist/ of the project", Usage: "write into `DIR`"},
	}
}

func distCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "dist",
		Usage: "write the source package",
		Description: "Writes NAME-VERSION.tar.xz, NAME.spec and NAME.changes into dist/, for the Open Build Service or rpmbuild: sources,\n" +
			"descriptions and version records, from which the RPM is built without network. With --shards also _multibuild: the\n" +
			"service then makes the containers in N builds at a time, and the package from their results.",
		Flags: append(packageFlags(), &urfave.IntFlag{Name: "shards", DefaultText: "none", Usage: "divide the builds among `N` flavours of the package"}),
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 0, 0); err != nil {
				return err
			}
			return withProject(c, nil, func(s *session) error {
				opts, err := s.packageOptions()
				if err != nil {
					return err
				}
				files, err := s.project.Dist(c.Context, opts)
				if err != nil {
					return err
				}
				return s.printFiles(files)
			})
		},
	}
}

func rpmCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "rpm",
		Usage: "write the binary RPM",
		Description: "Makes all containers and writes NAME-VERSION-RELEASE.ARCH.rpm into dist/, with the same files, scriptlets and\n" +
			"requirements as the one that rpmbuild builds from the source package. If any container fails there is no RPM.",
		Flags: append(packageFlags(),
			&urfave.StringFlag{Name: "compress", Value: "xz", Usage: "`METHOD` of payload compression: xz or zstd"},
			&urfave.PathFlag{Name: "runtime", Usage: "also write the runtime package, with lpctl and rpm-helper from `DIR`"}),
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 0, 0); err != nil {
				return err
			}
			return withProject(c, nil, runRPM)
		},
	}
}

func runRPM(s *session) error {
	opts, err := s.packageOptions()
	if err != nil {
		return err
	}
	var files []string
	file, report, err := s.project.RPM(s.Context.Context, opts)
	if err != nil {
		return err
	}
	if file == "" {
		return s.report(report, nil)
	}
	files = append(files, file)
	if bin := s.Path("runtime"); bin != "" {
		file, err := s.project.RuntimeRPM(s.Context.Context, runtimeVersion(), bin, opts)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	return s.printFiles(files)
}

func (s *session) packageOptions() (pipeline.PackageOptions, error) {
	opts := pipeline.PackageOptions{Options: s.options, Release: s.String("release"), Compress: s.String("compress"), Shards: s.Int("shards")}
	if dir := s.Path("output"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return opts, err
		}
		opts.OutDir = abs
	}
	return opts, nil
}

func (s *session) printFiles(files []string) error {
	s.progress.wait()
	for _, file := range files {
		if err := printFile(s.Context, file); err != nil {
			return err
		}
	}
	return nil
}

// runtimeVersion is this program's version in a form that RPM allows, "0" for
// a build without one.
func runtimeVersion() string {
	version, _, _ := strings.Cut(cli.Version(), " ")
	version = strings.ReplaceAll(strings.TrimPrefix(version, "v"), "-", "~")
	if strings.Trim(version, "0123456789abcdefghijklmnopqrstuvwxyz.~+") != "" || version == "" {
		return "0"
	}
	return version
}
