package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/node"
)

func (c *cli) nodeResumeCommand() *cobra.Command {
	var place nodePlace
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "After a reboot, bring back what this node served",
		Long: `Runs before the web server starts, at every boot: wpbake-boot.service of
packer/base.pkr.hcl does so. User data runs once in a node's life; what ends with
a reboot, a mount and the environment, is made again here, after every byte of
the release was compared. No store is asked. On a node that has served nothing
yet it does nothing, and user data goes on to boot the release.`,
		Example: `  wpbake node resume
  wpbake node resume --prefix "$INSTANCE_ROOT"   # on an instance of the local cloud`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.nodeResume(cmd.Context(), place) },
	}
	c.settingFlags(cmd, "region")
	place.flags(cmd, c.instanceRoot())
	return cmd
}

func (c *cli) nodeResume(ctx context.Context, place nodePlace) error {
	nc, err := readNodeConfig(place)
	if err != nil {
		return err
	}
	o := node.ResumeOptions{Config: nc}
	if !c.flags.quiet && !c.flags.json {
		o.Log = c.Stderr
	}
	if nc.Environment.Path != "" {
		var cfg Config
		if err := c.override(&cfg); err != nil {
			return err
		}
		clients, err := loadAWS(ctx, cfg)
		if err != nil {
			return err
		}
		o.Parameters = clients.Parameters()
	}
	r, err := node.Resume(ctx, o)
	if err != nil {
		return err
	}
	c.say("%s", r.Text())
	return c.object(r)
}
