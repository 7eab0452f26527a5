package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
)

func (c *cli) nodeDatabaseCommand() *cobra.Command {
	var place nodePlace
	cmd := &cobra.Command{
		Use:   "database",
		Short: "Ask the site's database: schema, plugins, password hashes",
		Long: `Asks the database of the release that serves here, in one read-only
transaction: its schema number, how many users have a password hash that only
WordPress 6.8 and later verify, active plugins and theme, WooCommerce's
version. wp-config.php is read and never run.

wpbake release and wpbake rollback run it on a node.`,
		Example: `  wpbake node database
  wpbake node database --prefix "$INSTANCE_ROOT"   # on an instance of the local cloud`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.nodeDatabase(cmd.Context(), place) },
	}
	place.flags(cmd, c.instanceRoot())
	return cmd
}

// siteOptions read what this node is.
func (c *cli) siteOptions(place nodePlace) (node.SiteOptions, error) {
	nc, err := readNodeConfig(place)
	if err != nil {
		hint := hintOf(err)
		if hint == "" {
			hint = "docs/node.md lists the keys of a node's configuration"
		}
		return node.SiteOptions{}, &usageError{err: err, hint: hint}
	}
	return node.SiteOptions{Config: nc, Env: c.Env}, nil
}

func (c *cli) nodeDatabase(ctx context.Context, place nodePlace) error {
	o, err := c.siteOptions(place)
	if err != nil {
		return err
	}
	d, err := node.AskDatabase(ctx, o)
	if err != nil {
		return err
	}
	c.say("schema    %d", d.Schema)
	c.say("users     %d, of these %d with a password hash of WordPress 6.8 or later", d.Users, d.NewHashes)
	c.say("theme     %s", d.Stylesheet)
	c.say("plugins   %s", orDash(strings.Join(d.Active, " ")))
	for _, name := range sortedKeys(d.Versions) {
		c.say("%-9s %s", name, d.Versions[name])
	}
	if d.Multisite {
		c.say("network   %d sites behind the main site's schema", d.Behind)
	}
	return c.object(d)
}

func (c *cli) nodeSchemaCommand() *cobra.Command {
	var place nodePlace
	var manifest string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Bring the database up to the release that serves here",
		Long: `Runs WordPress's own upgrade of the database, in a PHP process that holds a
lock of the database server, when the schema of the release is newer than the
database's. It never takes a schema down, and a second call does nothing.

wpbake release runs it on one node, once every node is proven.`,
		Example: `  wpbake node schema
  wpbake node schema --manifest sha256:…   # only if this is what serves here`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var digest artifact.Digest
			if manifest != "" {
				var err error
				if digest, err = artifact.ParseDigest(manifest); err != nil {
					return usage(cmd, err)
				}
			}
			return c.nodeSchema(cmd.Context(), place, digest)
		},
	}
	place.flags(cmd, c.instanceRoot())
	cmd.Flags().StringVar(&manifest, "manifest", "", "refuse unless the release that serves here has this manifest `DIGEST`")
	return cmd
}

func (c *cli) nodeSchema(ctx context.Context, place nodePlace, manifest artifact.Digest) error {
	o, err := c.siteOptions(place)
	if err != nil {
		return err
	}
	done, err := node.UpgradeSchema(ctx, node.SchemaOptions{SiteOptions: o, Manifest: manifest})
	if errors.Is(err, context.Canceled) {
		return &hintedError{err: err, hint: "the same command again waits for it"}
	}
	if err != nil {
		return err
	}
	if done.Ran {
		c.say("the database went from schema %d to %d in %s", done.Before, done.After, spent(done.Seconds))
	} else {
		c.say("nothing to do: the database has schema %d", done.After)
	}
	return c.object(done)
}
