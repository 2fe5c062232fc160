// Lpctl shows, applies, reverts and replaces live patches in running processes.
package main

import (
	"context"
	"io"
	"os"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

func main() {
	cli.Main(func(ctx context.Context, stdout, stderr io.Writer) error {
		return cli.Run(ctx, newApp(stdout, stderr), os.Args)
	}, rules)
}
