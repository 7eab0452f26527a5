// Command portable builds the artifact of a tree and prints the digests of its
// files. Its test runs it as other processors do: the same tree has the same
// bytes everywhere, or a release could not be built again elsewhere.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "portable:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: portable TREE OUT")
	}
	built, err := build.Build(context.Background(), build.Options{Tree: args[0], Out: args[1], Version: "v1"})
	if err != nil {
		return err
	}
	for _, name := range []string{"wordpress.tar.zst", "manifest.json"} {
		b, err := os.ReadFile(filepath.Join(built.Dir, name))
		if err != nil {
			return err
		}
		fmt.Println(artifact.DigestOf(b), name)
	}
	return nil
}
