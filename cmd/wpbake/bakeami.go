package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake/ami"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

// outlives is how long the build instance may outlive the bake, which ends it.
const outlives = 5 * time.Minute

// ami makes an AMI, or finds the one that is there; Packer is looked for
// when it is needed.
func (b baking) ami(ctx context.Context) (baked, error) {
	budget := b.cfg.Bake.Budget()
	within, cancel := context.WithTimeoutCause(ctx, budget, cli.Hinted(
		fmt.Errorf("baking an AMI: it took longer than %s", cli.Brief(budget)),
		"bake.timeout gives it more; the same command again goes on with what is there"))
	defer cancel()
	got, err := ami.Bake(within, ami.Options{
		Images: b.clients.Images(), Store: b.store, Owner: b.owner,
		Build:     b.packer,
		Encrypted: b.cfg.Bake.Encrypted(), Regions: b.cfg.Bake.Regions, Accounts: b.cfg.Bake.Accounts,
		Deprecate: b.cfg.Bake.DeprecateAfter, Alive: owner.Alive, Poll: b.cfg.Poll,
		Note: b.out.NoteText,
	})
	if err != nil {
		return baked{}, err
	}
	return baked{Baked: rollout.Baked{Image: got.Image.ID}, reused: got.Reused, copies: got.Copies}, nil
}

func (b baking) wouldBakeAMI(ctx context.Context) (string, error) {
	found, err := ami.Ready(ctx, ami.Options{Images: b.clients.Images(), Owner: b.owner, Encrypted: b.cfg.Bake.Encrypted()})
	if err != nil {
		return "", err
	}
	if found != "" {
		return fmt.Sprintf("bake: the AMI of %s is there, %s", b.version, found), nil
	}
	return fmt.Sprintf("bake: Packer would make an AMI of %s, in a build instance that runs for some minutes", b.version), nil
}

// packer runs Packer, which a second interrupt ends at once.
func (b baking) packer(ctx context.Context) (map[string]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	force, done := secondInterrupt(ctx, b.out)
	defer done()
	return ami.Packer{
		Program: b.cfg.Packer.Program, Template: b.cfg.Packer.Template, Variables: b.variables(self),
		Environ: os.Environ(), Settings: []string{"AWS_REGION=" + b.clients.Region(), "WPBAKE_BUCKET_OWNER=" + b.cfg.BucketOwner},
		Force: force, Note: b.out.NoteText,
	}.Build(ctx)
}

// variables are the template's.
func (b baking) variables(self string) map[string]string {
	p := b.cfg.Packer
	values := map[string]string{
		"version": string(b.version), "store": b.cfg.Store, "region": b.clients.Region(),
		"run": b.owner.Run, "holder": b.owner.Holder.Tag(), "expires": b.owner.Expires.UTC().Format(time.RFC3339),
		"lifetime": strconv.Itoa(int((b.cfg.Bake.Budget() + outlives).Seconds())), "local_wpbake": self,
		"kms_key": b.cfg.Bake.KMSKey, "base_image": p.BaseImage, "base_name": p.BaseName,
		"instance_type": p.InstanceType, "instance_profile": p.InstanceProfile, "subnet_id": p.Subnet,
		"ssh_username": p.SSHUser, "wpbake": p.Wpbake,
	}
	if p.SSHPort != 0 {
		values["ssh_port"] = strconv.Itoa(p.SSHPort)
	}
	return values
}

// secondInterrupt is closed by a signal that comes after ctx has ended. The
// first one is handed to Packer, which then removes what it has made.
func secondInterrupt(ctx context.Context, out *cli.Output) (force <-chan struct{}, done func()) {
	again, forced, over := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(again)
		if errors.Is(ctx.Err(), context.Canceled) {
			out.Note("interrupted: Packer removes what it has made, which takes minutes; a second interrupt ends it at once, and leaves the rest to wpbake sweep")
		}
		select {
		case <-again:
			close(forced)
		case <-over:
		}
	})
	return forced, func() {
		stop()
		close(over)
	}
}

func newRecordImageCommand(e *env) *cobra.Command {
	var manifest artifact.Digest
	cmd := &cobra.Command{
		Use:    "record-image VERSION REGION:IMAGE...",
		Short:  "Write images of a release down beside it",
		Long:   `What Packer's post-processor wpbake-image runs, whoever runs Packer.`,
		Hidden: true,
		Example: `  eval "$(wpbake local env)"
  wpbake record-image v1 eu-central-1:ami-… --manifest sha256:… --store s3://releases/shop`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return cli.Usage(cmd, errors.New("missing VERSION or REGION:IMAGE"))
			}
			return nil
		},
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			if manifest == "" {
				return in.usage(errors.New("missing --manifest"))
			}
			ids, err := parseImages(in.args[1:])
			if err != nil {
				return in.usage(err)
			}
			clients, store, err := openWithAWS(ctx, in.cfg)
			if err != nil {
				return err
			}
			n := pinned{in.version(), manifest}
			if _, _, err := n.find(ctx, store); err != nil {
				return err
			}
			found, err := ami.Find(ctx, clients.Images(), owner.Tags{Version: string(n.version), Manifest: string(manifest), Store: in.cfg.Store}, ids)
			if err != nil {
				return err
			}
			return runRecordImage(ctx, e.out, store, imagesOf{n, found})
		}, "store"),
	}
	e.settings.AddFlags(cmd, storeKeys()...)
	addManifestFlag(cmd, (*digestValue)(&manifest), "the `DIGEST` of the release's manifest, which the images must carry as a tag")
	return cmd
}

// parseImages reads REGION:IMAGE.
func parseImages(args []string) (map[string]string, error) {
	ids := map[string]string{}
	for _, arg := range args {
		region, id, ok := strings.Cut(arg, ":")
		if !ok || !strings.HasPrefix(id, "ami-") {
			return nil, fmt.Errorf("%q: want REGION:IMAGE", arg)
		}
		ids[region] = id
	}
	return ids, nil
}

// imagesOf are images of a version.
type imagesOf struct {
	pinned
	images []ami.Image
}

func runRecordImage(ctx context.Context, out *cli.Output, store artifact.Store, o imagesOf) error {
	type recorded struct {
		Region string `json:"region"`
		Image  string `json:"image"`
	}
	var all []recorded
	for _, one := range o.images {
		if err := ami.Write(ctx, store, o.version, one); err != nil {
			return err
		}
		out.Say("recorded %s in %s", one.ID, one.Region)
		all = append(all, recorded{one.Region, one.ID})
	}
	return out.Object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Images   []recorded       `json:"images"`
	}{o.version, o.manifest, all})
}
