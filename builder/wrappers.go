package builder

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"slices"
)

//go:embed crt/wrappers.c
var wrapperSource []byte

// wrappers are functions that this machine's headers take for granted and an
// older build offers under another name with one more argument, by that name.
// crt/wrappers.c has a definition of each.
var wrappers = map[string]string{
	"stat": "__xstat", "stat64": "__xstat", "lstat": "__lxstat", "lstat64": "__lxstat",
	"fstat": "__fxstat", "fstat64": "__fxstat", "fstatat": "__fxstatat", "fstatat64": "__fxstatat",
	"mknod": "__xmknod", "mknodat": "__xmknodat",
}

// wrapperFlags compile crt/wrappers.c with the functions called names.
func wrapperFlags(names []string) []string {
	flags := append(slices.Clone(baseFlags), "-fvisibility=hidden", "-fno-builtin")
	for _, n := range names {
		flags = append(flags, "-DNEED_"+n)
	}
	return append(flags, "-fno-lto", "-fno-ident")
}

// wrapperObject returns the relocatable file that defines the functions called
// names.
func wrapperObject(ctx context.Context, s *store, t *toolchain, names []string) ([]byte, error) {
	flags := wrapperFlags(names)
	key, err := keyOf("wrappers", t.identity(), flags, digest(wrapperSource))
	if err != nil {
		return nil, err
	}
	if data, ok := s.get("wrappers", key); ok {
		return data, nil
	}
	dir, err := os.MkdirTemp("", "lpbuild-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "wrappers.c"), wrapperSource, 0o600); err != nil {
		return nil, err
	}
	args := append(flags, "-ffile-prefix-map="+dir+"=.", "-c", "-o", "wrappers.o", "wrappers.c")
	if _, err := run(ctx, command{path: t.Compiler, args: args, dir: dir}); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "wrappers.o"))
	if err != nil {
		return nil, err
	}
	s.put("wrappers", key, data)
	return data, nil
}
