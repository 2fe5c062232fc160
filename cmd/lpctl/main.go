// Lpctl shows, applies, reverts and replaces live patches in running processes.
// Called as ulp, it is libpulp's program of that name.
package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/cmd/internal/ulp"
)

// Most runs are over before collecting garbage pays, and one over a thousand
// processes would do it every few milliseconds.
const (
	garbage     = 800       // percent of what is in use
	memoryLimit = 256 << 20 // bytes, from where on it is collected as needed
)

func main() {
	debug.SetGCPercent(garbage)
	debug.SetMemoryLimit(memoryLimit)
	cli.Main(func(ctx context.Context, stdout, stderr io.Writer) error {
		if args, ok := ulp.Called(os.Args); ok {
			return ulp.Run(ctx, args, stdout, stderr)
		}
		return cli.Run(ctx, newApp(stdout, stderr), os.Args)
	}, rules)
}
