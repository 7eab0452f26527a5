package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
)

func (c *cli) showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [VERSION]",
		Short: "What a published version holds; without VERSION, all of them",
		Example: `  eval "$(wpbake local env)"
  wpbake show v1 --store s3://releases/shop`,
		GroupID: groupLook,
		Args:    words("[VERSION]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.showAll(cmd.Context(), cfg)
			}
			v, err := parseVersion(cmd, args[0])
			if err != nil {
				return err
			}
			return c.show(cmd.Context(), cfg, v)
		},
	}
	c.settingFlags(cmd, storeKeys...)
	return cmd
}

// shown is a version as show tells it.
type shown struct {
	Version  artifact.Version  `json:"version"`
	Digest   artifact.Digest   `json:"digest"`
	Manifest artifact.Manifest `json:"manifest"`
}

func (c *cli) showAll(ctx context.Context, cfg Config) error                  { fmt.Println(); return nil }
func (c *cli) show(ctx context.Context, cfg Config, v artifact.Version) error { return nil }
