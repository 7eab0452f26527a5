package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) bakeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bake VERSION",
		Short: "Make a release volume or an AMI of a published version",
		Long: `Bakes a published version, so that nodes boot it without a download:

  --as volume  an EBS snapshot with the release's file system, written by blocks:
               no instance runs for it. The launch template gives it to nodes as
               a disk; they mount it read-only.
  --as ami     an AMI with the release in it, through Packer.

What carries the manifest's digest as a tag is reused. wpbake release --bake
bakes and releases; wpbake gc removes what no release needs any more, wpbake
sweep what a bake that was killed left behind.`,
		Example: `  eval "$(wpbake local env)"
  wpbake bake v1 --as volume --store s3://releases/shop
  wpbake bake v2 --as volume --parent v1 --store s3://releases/shop`,
		GroupID:           groupArtifact,
		Args:              words("VERSION"),
		ValidArgsFunction: c.completeVersions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			v, err := parseVersion(cmd, args[0])
			if err != nil {
				return err
			}
			if err := cfg.need("store"); err != nil {
				return err
			}
			if cfg.Bake.As == "" {
				return usage(cmd, errors.New("missing --as: what to bake, volume or ami"))
			}
			return c.bakeOnly(cmd.Context(), cfg, v)
		},
	}
	c.settingFlags(cmd, slices.Concat(bakeKeys, groupKeys)...)
	c.formFlag(cmd, "as")
	c.settingFlagAs(cmd, "bake.parent", "parent")
	return cmd
}

// formFlag adds the flag that says what to bake.
func (c *cli) formFlag(cmd *cobra.Command, name string) {
	c.settingFlagAs(cmd, "bake.as", name)
	forms := []cobra.Completion{asVolume, asAMI, asNothing}
	if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is there, and nobody else completes it
	}
}

// baking is one bake of one published version.
type baking struct {
	cfg      Config
	clients  *aws.Clients
	store    artifact.ReleaseStore
	version  artifact.Version
	manifest artifact.Manifest
	digest   artifact.Digest
	owner    owner.Tags
}

// baked is what came of it.
type baked struct {
	rollout.Baked
	reused bool
	blocks int               // of a volume, written
	copies map[string]string // by region
}

// id is the snapshot or the image.
func (b baked) id() string {
	if b.Volume != nil {
		return b.Volume.Snapshot
	}
	return b.Image
}

// text says what nodes will get.
func (b baked) text(v artifact.Version) string {
	what := "image"
	if b.Volume != nil {
		what = "release volume"
	}
	if b.reused {
		return fmt.Sprintf("%s of %s is there already: %s", what, v, b.id())
	}
	return fmt.Sprintf("%s of %s: %s", what, v, b.id())
}

func (c *cli) bakeOnly(ctx context.Context, cfg Config, v artifact.Version) error {
	clients, store, err := openWithAWS(ctx, cfg)
	if err != nil {
		return err
	}
	made, err := c.bake(ctx, cfg, clients, store, v)
	if err != nil {
		return err
	}
	c.say("%s", made.text(v))
	for _, region := range slices.Sorted(maps.Keys(made.copies)) {
		c.say("copy in %s: %s", region, made.copies[region])
	}
	return c.object(struct {
		Version artifact.Version  `json:"version"`
		Volume  *rollout.Volume   `json:"volume,omitempty"`
		Image   string            `json:"image,omitempty"`
		Reused  bool              `json:"reused"`
		Blocks  int               `json:"blocks,omitempty"` // written
		Copies  map[string]string `json:"copies,omitempty"`
	}{v, made.Volume, made.Image, made.reused, made.blocks, made.copies})
}

// bake makes what the configuration asks for, or finds it.
func (c *cli) bake(ctx context.Context, cfg Config, clients *aws.Clients, store artifact.ReleaseStore, v artifact.Version) (baked, error) {
	m, digest, err := artifact.Find(ctx, store, v)
	if errors.Is(err, artifact.ErrNotFound) {
		return baked{}, &hintedError{err: err, hint: fmt.Sprintf("wpbake publish %s --tree DIR --store %s, then the same command again", v, cfg.Store)}
	}
	if err != nil {
		return baked{}, err
	}
	now := c.Now()
	b := baking{
		cfg: cfg, clients: clients, store: store, version: v, manifest: m, digest: digest,
		owner: owner.Tags{
			Version: string(v), Manifest: string(digest), Store: cfg.Store, Run: rollout.NewRun(now), Holder: c.holder(),
			Expires: now.Add(cfg.Bake.budget() + 10*time.Minute),
		},
	}
	if cfg.Bake.As == asAMI {
		return c.bakeAMI(ctx, b)
	}
	return c.bakeVolume(ctx, b)
}

// budget is how long a bake may take.
func (b BakeConfig) budget() time.Duration {
	return cmp.Or(b.Timeout, map[string]time.Duration{asVolume: 30 * time.Minute, asAMI: time.Hour}[b.As])
}

// wouldBake says what a release would bake; empty is nothing.
func (c *cli) wouldBake(ctx context.Context, cfg Config, r openGroup, built draft, v artifact.Version) (string, error) {
	if cfg.Bake.As == "" {
		return "", nil
	}
	m, digest, err := artifact.Find(ctx, built.store, v)
	if err != nil {
		return "", err
	}
	b := baking{cfg: cfg, clients: r.clients, version: v, manifest: m, digest: digest, owner: owner.Tags{Manifest: string(digest), Store: cfg.Store}}
	if cfg.Bake.As == asAMI {
		return b.wouldBakeAMI(ctx)
	}
	return b.wouldBakeVolume(ctx)
}
