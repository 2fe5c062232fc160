package dist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"
)

// compressXZ writes what write gives to w as an xz stream: with xz(1) if it is
// there, as its streams are a fifth smaller, else with the Go package.
func compressXZ(ctx context.Context, w io.Writer, write func(io.Writer) error) error {
	if program, err := exec.LookPath("xz"); err == nil {
		return externalXZ(ctx, program, w, write)
	}
	z, err := xz.NewWriter(w)
	if err != nil {
		return err
	}
	return errors.Join(write(contextWriter{ctx, z}), z.Close())
}

// externalXZ runs xz. The number of threads is given because one thread and
// several give different streams, and the caller's own options are kept away.
func externalXZ(ctx context.Context, program string, w io.Writer, write func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-6", "-T2", "--format=xz", "--stdout")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "XZ_OPT=") || strings.HasPrefix(v, "XZ_DEFAULTS=")
	})
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = errors.Join(write(in), in.Close())
	if err != nil {
		cancel()
	}
	if waitErr := cmd.Wait(); waitErr != nil && err == nil {
		err = fmt.Errorf("xz: %w: %s", waitErr, bytes.TrimSpace(stderr.Bytes()))
	}
	return err
}

// A contextWriter fails once its context is done.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c contextWriter) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}
