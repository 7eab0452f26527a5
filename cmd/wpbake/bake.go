package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake/volume"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

func newBakeCommand(e *env) *cobra.Command {
	var manifest artifact.Digest
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
  wpbake bake v1 --as volume --store s3://releases/shop --manifest sha256:…
  wpbake bake v2 --as volume --parent v1 --store s3://releases/shop`,
		GroupID:           groupArtifact,
		Args:              exactArgs,
		ValidArgsFunction: e.completeVersions,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			if in.cfg.Bake.As == "" {
				return in.usage(errors.New("missing --as: what to bake, volume or ami"))
			}
			clients, store, err := openWithAWS(ctx, in.cfg)
			if err != nil {
				return err
			}
			b := baker{out: e.out, open: e.open, cfg: in.cfg, clients: clients, store: store}
			return runBake(ctx, b, pinned{in.version(), manifest})
		}, "store"),
	}
	e.settings.AddFlags(cmd, slices.Concat(bakeKeys(), groupKeys())...)
	bakeFormFlag(e.settings, cmd, "as")
	e.settings.AddFlagAs(cmd, "bake.parent", "parent")
	manifestFlag(cmd, &manifest)
	return cmd
}

// bakeFormFlag adds the flag that says what to bake.
func bakeFormFlag(settings *cli.Sources, cmd *cobra.Command, name string) {
	settings.AddFlagAs(cmd, "bake.as", name)
	forms := []cobra.Completion{cli.AsVolume, cli.AsAMI, cli.Off}
	if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is there, and nobody else completes it
	}
}

// baker makes what nodes boot of published versions.
type baker struct {
	out     *cli.Output
	open    opener
	cfg     cli.Config
	clients *aws.Clients
	store   artifact.ReleaseStore
}

func (b builder) baker(clients *aws.Clients, store artifact.ReleaseStore) baker {
	return baker{out: b.out, open: b.open, cfg: b.cfg, clients: clients, store: store}
}

// baking is one bake of one published version.
type baking struct {
	baker
	version  artifact.Version
	manifest artifact.Manifest
	owner    owner.Tags
}

// baked is what came of it.
type baked struct {
	rollout.Baked
	manifest artifact.Digest // of what is in it

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

func runBake(ctx context.Context, b baker, n pinned) error {
	made, err := b.bake(ctx, n)
	if err != nil {
		return err
	}
	b.out.Say("%s", made.text(n.version))
	for _, region := range slices.Sorted(maps.Keys(made.copies)) {
		b.out.Say("copy in %s: %s", region, made.copies[region])
	}
	return b.out.Object(struct {
		Version  artifact.Version  `json:"version"`
		Manifest artifact.Digest   `json:"manifest"`
		Volume   *rollout.Volume   `json:"volume,omitempty"`
		Image    string            `json:"image,omitempty"`
		Reused   bool              `json:"reused"`
		Blocks   int               `json:"blocks,omitempty"` // written
		Copies   map[string]string `json:"copies,omitempty"`
	}{n.version, made.manifest, made.Volume, made.Image, made.reused, made.blocks, made.copies})
}

// bake makes what the configuration asks for, or finds it.
func (b baker) bake(ctx context.Context, n pinned) (made baked, err error) {
	one, err := b.prepare(ctx, n)
	if errors.Is(err, artifact.ErrNotFound) {
		return baked{}, cli.Hinted(err, fmt.Sprintf("wpbake publish %s --tree DIR --store %s, then the same command again", n.version, b.cfg.Store))
	}
	if err != nil {
		return baked{}, err
	}
	if b.cfg.Bake.As == cli.AsAMI {
		made, err = one.ami(ctx)
	} else {
		made, err = one.volume(ctx)
	}
	made.manifest = artifact.Digest(one.owner.Manifest)
	return made, err
}

// prepare finds the version that is to be baked.
func (b baker) prepare(ctx context.Context, n pinned) (baking, error) {
	m, digest, err := n.find(ctx, b.store)
	if err != nil {
		return baking{}, err
	}
	now := b.out.Now()
	return baking{baker: b, version: n.version, manifest: m, owner: owner.Tags{
		Version: string(n.version), Manifest: string(digest), Store: b.cfg.Store, Run: rollout.NewRun(now), Holder: b.open.holder(),
		Expires: now.Add(b.cfg.Bake.Budget() + 10*time.Minute),
	}}, nil
}

// wouldBake says what a release would bake; empty is nothing.
func (b baker) wouldBake(ctx context.Context, n pinned) (string, error) {
	if b.cfg.Bake.As == "" {
		return "", nil
	}
	one, err := b.prepare(ctx, n)
	if err != nil {
		return "", err
	}
	if b.cfg.Bake.As == cli.AsAMI {
		return one.wouldBakeAMI(ctx)
	}
	return one.wouldBakeVolume(ctx)
}

// volume makes a release volume, or finds it.
func (b baking) volume(ctx context.Context) (baked, error) {
	parent, err := b.parent(ctx)
	if err != nil {
		return baked{}, err
	}
	defer fetchLimits().apply()()
	m := cli.NewMeter(b.out)
	defer m.Close()
	o := volume.Options{
		Store: b.store, Snapshots: b.clients.Snapshots(), Writer: b.clients.SnapshotWriter(), Reader: b.clients.SnapshotReader(),
		Version: b.version, Digest: artifact.Digest(b.owner.Manifest), Owner: b.owner, Parent: parent,
		Encrypted: b.cfg.Bake.Encrypted(), Key: b.cfg.Bake.Key(), Regions: b.cfg.Bake.Regions, Accounts: b.cfg.Bake.Accounts,
		Budget: b.cfg.Bake.Budget(), Alive: owner.Alive, Progress: m.Update, Note: b.out.NoteText,
	}
	got, err := volume.Bake(ctx, o)
	if err != nil {
		return baked{}, err
	}
	return baked{
		Baked:  rollout.Baked{Volume: &rollout.Volume{Snapshot: got.Snapshot, Image: got.Image, Rate: b.cfg.Bake.InitializeRate}},
		reused: got.Reused, blocks: got.Blocks, copies: got.Copies,
	}, nil
}

// parent is the version whose release volume the new one inherits from.
func (b baking) parent(ctx context.Context) (artifact.Version, error) {
	v := artifact.Version(b.cfg.Bake.Parent)
	if v == cli.Current {
		var err error
		if v, err = b.open.current(ctx, b.cfg); err != nil {
			return "", err
		}
	}
	if v == b.version {
		return "", nil
	}
	return v, nil
}

// putPrice is what EBS takes for writing a thousand blocks, in dollars, as its
// guide's examples have it; regions differ.
const putPrice = 0.006

// writing is how many blocks a release volume of an image has at most, and what
// EBS takes for writing them, in dollars.
func writing(imageSize int64) (blocks int64, dollars float64) {
	blocks = (imageSize + volume.BlockSize - 1) / volume.BlockSize
	return blocks, float64(blocks) * putPrice / 1000
}

func (b baking) wouldBakeVolume(ctx context.Context) (string, error) {
	found, err := volume.Find(ctx, volume.Options{
		Snapshots: b.clients.Snapshots(), Digest: artifact.Digest(b.owner.Manifest), Owner: b.owner,
		Encrypted: b.cfg.Bake.Encrypted(), Key: b.cfg.Bake.Key(),
	})
	if err != nil {
		return "", err
	}
	if found != "" {
		return fmt.Sprintf("bake: the release volume of %s is there, snapshot %s", b.version, found), nil
	}
	blocks, dollars := writing(b.manifest.Image.Size)
	return fmt.Sprintf("bake: a release volume of %s would be written, at most %d blocks of 512 KiB for about $%.4f", b.version, blocks, dollars), nil
}
