package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/cli"
)

func newShowCommand(e *env) *cobra.Command {
	var sbom bool
	var manifest artifact.Digest
	cmd := &cobra.Command{
		Use:   "show [VERSION]",
		Short: "What a published version holds; without VERSION, all of them",
		Long: `Shows a version's digests, its tree, and what it is as WordPress: core, the
database's version, least PHP and MySQL, plugins and themes. Without VERSION it
lists what is published, v9 before v10.`,
		Example: `  eval "$(wpbake local env)"
  wpbake show --store s3://releases/shop
  wpbake show v1 --store s3://releases/shop
  wpbake show v1 --store s3://releases/shop --manifest sha256:…
  wpbake show v1 --store s3://releases/shop --sbom >sbom.cdx.json`,
		GroupID:           groupLook,
		Args:              exactArgs,
		ValidArgsFunction: e.completeVersions,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			if sbom && len(in.versions) == 0 {
				return in.usage(errors.New("--sbom: missing VERSION"))
			}
			if manifest != "" && len(in.versions) == 0 {
				return in.usage(errors.New("--manifest: missing VERSION"))
			}
			store, err := readReleases(ctx, in.cfg)
			switch {
			case err != nil:
				return err
			case len(in.versions) == 0:
				return runShowAll(ctx, e.out, store, in.cfg.Store)
			case sbom:
				return runShowSBOM(ctx, e.Stdout, store, pinned{in.version(), manifest})
			}
			return runShow(ctx, e.out, store, pinned{in.version(), manifest})
		}),
	}
	e.settings.AddFlags(cmd, storeKeys()...)
	manifestFlag(cmd, &manifest)
	cmd.Flags().BoolVar(&sbom, "sbom", false, "write the version's bill of materials, as it was published")
	return cmd
}

// shown is a version as show tells it.
type shown struct {
	Version  artifact.Version  `json:"version"`
	Manifest artifact.Digest   `json:"manifest"` // its digest: the release's identity
	Document artifact.Manifest `json:"document"` // the manifest itself
}

func runShow(ctx context.Context, out *cli.Output, store artifact.ReleaseStore, n pinned) error {
	m, d, err := n.find(ctx, store)
	if err != nil {
		return err
	}
	out.List(versionList(n.version, d, m))
	return out.Object(shown{n.version, d, m})
}

func versionList(v artifact.Version, d artifact.Digest, m artifact.Manifest) (list cli.List) {
	list.Add("version", "%s", v)
	list.Add("manifest", "%s", d)
	list.Add("artifact", "%s, %s", m.Artifact.Digest, cli.Size(m.Artifact.Size))
	list.Add("tree", "%s, %s, below %s/", cli.Count(m.Tree.Files, "file"), cli.Size(m.Tree.Bytes), m.Tree.Prefix)
	if s := m.SBOM; s != nil {
		list.Add("sbom", "%s, %s", s.Digest, cli.Size(s.Size))
	}
	if w := m.WordPress; w != nil {
		list.Add("wordpress", "%s, database %d, PHP %s, MySQL %s", w.Core, w.DBVersion, cli.OrDash(w.PHP), cli.OrDash(w.MySQL))
		for _, x := range w.Plugins {
			list.Add("plugin", "%s %s", x.Slug, x.Version)
		}
		for _, x := range w.Themes {
			list.Add("theme", "%s %s", x.Slug, x.Version)
		}
	}
	return list
}

// runShowSBOM writes the bill of materials byte for byte: its digest is the one
// that the manifest names.
func runShowSBOM(ctx context.Context, w io.Writer, store artifact.ReleaseStore, n pinned) error {
	m, _, err := n.find(ctx, store)
	if err != nil {
		return err
	}
	b, err := artifact.SBOM(ctx, store, m)
	if err == nil && b == nil {
		err = fmt.Errorf("version %q has no bill of materials", n.version)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// runShowAll lists the versions in the store.
func runShowAll(ctx context.Context, out *cli.Output, store artifact.ReleaseStore, url string) error {
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
		rows = append(rows, []string{string(v), d.Short(), cli.Size(m.Artifact.Size), strconv.Itoa(m.Tree.Files), core})
	}
	if len(all) > 0 {
		out.Table(rows)
	} else {
		out.Say("no version is published in %s", url)
	}
	return out.Object(struct {
		Versions []shown `json:"versions"`
	}{all})
}
