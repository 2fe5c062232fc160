// Lpctl shows, applies, reverts and replaces live patches in running processes.
// Called as ulp, it is libpulp's program of that name.
package main

import (
	"context"
	"io"
	"os"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/cmd/internal/ulp"
)

func main() {
	cli.CollectRarely()
	cli.IgnoreStops()
	cli.Main(func(ctx context.Context, stdout, stderr io.Writer) error {
		if args, ok := ulp.Called(os.Args); ok {
			return ulp.Run(ctx, args, stdout, stderr)
		}
		return cli.Run(ctx, newApp(stdout, stderr), os.Args)
	}, rules)
}
