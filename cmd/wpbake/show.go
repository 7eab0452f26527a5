package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
)

func (c *cli) showCommand() *cobra.Command {
	var sbom bool
	cmd := &cobra.Command{
		Use:   "show [VERSION]",
		Short: "What a published version holds; without VERSION, all of them",
		Long: `Shows a version's digests, its tree, and what it is as WordPress: core, the
database's version, least PHP and MySQL, plugins and themes. Without VERSION it
lists what is published, v9 before v10.`,
		Example: `  eval "$(wpbake local env)"
  wpbake show --store s3://releases/shop
  wpbake show v1 --store s3://releases/shop
  wpbake show v1 --store s3://releases/shop --sbom >sbom.cdx.json`,
		GroupID:           groupLook,
		Args:              words("[VERSION]"),
		ValidArgsFunction: c.completeVersions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			if sbom && len(args) == 0 {
				return usage(cmd, errors.New("--sbom: missing VERSION"))
			}
			if len(args) == 0 {
				return c.showAll(cmd.Context(), cfg)
			}
			v, err := parseVersion(cmd, args[0])
			if err != nil {
				return err
			}
			if sbom {
				return c.showSBOM(cmd.Context(), cfg, v)
			}
			return c.show(cmd.Context(), cfg, v)
		},
	}
	c.settingFlags(cmd, storeKeys...)
	cmd.Flags().BoolVar(&sbom, "sbom", false, "write the version's bill of materials, as it was published")
	return cmd
}

// shown is a version as show tells it.
type shown struct {
	Version  artifact.Version  `json:"version"`
	Digest   artifact.Digest   `json:"digest"` // of the manifest: the release's identity
	Manifest artifact.Manifest `json:"manifest"`
}

func (c *cli) show(ctx context.Context, cfg Config, v artifact.Version) error {
	store, err := lookInto(ctx, cfg)
	if err != nil {
		return err
	}
	m, d, err := artifact.Find(ctx, store, v)
	if err != nil {
		return err
	}
	c.say("version    %s", v)
	c.say("manifest   %s", d)
	c.say("artifact   %s, %s", m.Artifact.Digest, size(m.Artifact.Size))
	c.say("tree       %d files, %s, below %s/", m.Tree.Files, size(m.Tree.Bytes), m.Tree.Prefix)
	if s := m.SBOM; s != nil {
		c.say("sbom       %s, %s", s.Digest, size(s.Size))
	}
	if w := m.WordPress; w != nil {
		c.say("wordpress  %s, database %d, PHP %s, MySQL %s", w.Core, w.DBVersion, orDash(w.PHP), orDash(w.MySQL))
		c.components("plugin", w.Plugins)
		c.components("theme", w.Themes)
	}
	return c.object(shown{v, d, m})
}

// showSBOM writes the bill of materials byte for byte: its digest is the one
// that the manifest names.
func (c *cli) showSBOM(ctx context.Context, cfg Config, v artifact.Version) error {
	store, err := lookInto(ctx, cfg)
	if err != nil {
		return err
	}
	m, _, err := artifact.Find(ctx, store, v)
	if err != nil {
		return err
	}
	b, err := artifact.SBOM(ctx, store, m)
	if err == nil && b == nil {
		err = fmt.Errorf("version %q has no bill of materials", v)
	}
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(b)
	return err
}

func (c *cli) components(kind string, list []artifact.Component) {
	for _, x := range list {
		c.say("%-10s %s %s", kind, x.Slug, x.Version)
	}
}

// showAll lists the versions in the store.
func (c *cli) showAll(ctx context.Context, cfg Config) error {
	store, err := lookInto(ctx, cfg)
	if err != nil {
		return err
	}
	versions, err := artifact.Versions(ctx, store)
	if err != nil {
		return err
	}
	all := []shown{}
	rows := [][]string{{"VERSION", "MANIFEST", "SIZE", "FILES", "WORDPRESS"}}
	for _, v := range versions {
		m, d, err := artifact.Find(ctx, store, v)
		if err != nil {
			return err
		}
		core := ""
		if m.WordPress != nil {
			core = m.WordPress.Core
		}
		all = append(all, shown{v, d, m})
		rows = append(rows, []string{string(v), d.Short(), size(m.Artifact.Size), strconv.Itoa(m.Tree.Files), core})
	}
	if len(all) > 0 {
		c.table(rows)
	} else {
		c.say("no version is published in %s", cfg.Store)
	}
	return c.object(struct {
		Versions []shown `json:"versions"`
	}{all})
}
