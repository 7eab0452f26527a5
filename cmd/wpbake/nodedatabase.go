package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/node"
)

func newNodeDatabaseCommand(e *env) *cobra.Command {
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
		Args: exactArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runNodeDatabase(cmd.Context(), e.out, siteOptions{place, e.Env})
		},
	}
	place.flags(cmd, instanceRoot(e.Process))
	return cmd
}

// siteOptions say where to read what this node is.
type siteOptions struct {
	place nodePlace
	env   func(name string) (value string, set bool)
}

func (o siteOptions) read() (node.SiteOptions, error) {
	nc, err := needNodeConfig(o.place)
	return node.SiteOptions{Config: nc, Env: o.env}, err
}

func runNodeDatabase(ctx context.Context, out *cli.Output, site siteOptions) error {
	o, err := site.read()
	if err != nil {
		return err
	}
	d, err := node.AskDatabase(ctx, o)
	if err != nil {
		return err
	}
	var list cli.List
	list.Add("schema", "%d", d.Schema)
	list.Add("users", "%d, of these %d with a password hash of WordPress 6.8 or later", d.Users, d.NewHashes)
	list.Add("theme", "%s", d.Stylesheet)
	list.Add("plugins", "%s", cli.OrDash(strings.Join(d.Active, " ")))
	for _, name := range slices.Sorted(maps.Keys(d.Versions)) {
		list.Add(name, "%s", d.Versions[name])
	}
	if d.Multisite {
		list.Add("network", "%d sites behind the main site's schema", d.Behind)
	}
	out.List(list)
	return out.Object(d)
}

func newNodeSchemaCommand(e *env) *cobra.Command {
	var place nodePlace
	var manifest artifact.Digest
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Bring the database up to the release that serves here",
		Long: `Runs WordPress's own upgrade of the database, in a PHP process that holds a
lock of the database server, when the schema of the release is newer than the
database's. It never takes a schema down, and a second call does nothing.

wpbake release runs it on one node, once every node is proven.`,
		Example: `  wpbake node schema
  wpbake node schema --manifest sha256:…   # only if this is what serves here`,
		Args: exactArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runNodeSchema(cmd.Context(), e.out, siteOptions{place, e.Env}, manifest)
		},
	}
	place.flags(cmd, instanceRoot(e.Process))
	addManifestFlag(cmd, (*digestValue)(&manifest), "refuse unless the release that serves here has this manifest `DIGEST`")
	return cmd
}

func runNodeSchema(ctx context.Context, out *cli.Output, site siteOptions, manifest artifact.Digest) error {
	o, err := site.read()
	if err != nil {
		return err
	}
	done, err := node.UpgradeSchema(ctx, node.SchemaOptions{SiteOptions: o, Manifest: manifest})
	if errors.Is(err, context.Canceled) {
		return cli.Hinted(err, "the same command again waits for it")
	}
	if err != nil {
		return err
	}
	if done.Ran {
		out.Say("the database went from schema %d to %d in %s", done.Before, done.After, cli.Seconds(done.Seconds))
	} else {
		out.Say("nothing to do: the database has schema %d", done.After)
	}
	return out.Object(done)
}
