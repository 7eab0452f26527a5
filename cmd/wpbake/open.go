package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/artifact/ocistore"
	"github.com/wpbake/wpbake/artifact/s3store"
	"github.com/wpbake/wpbake/artifact/timed"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

// opener opens what a rollout works on, in this process's name.
type opener struct {
	env func(name string) (value string, set bool)
	// afterStep is told of each recorded step. Only tests set it: they kill
	// the process there.
	afterStep func(rollout.Step)
	// observed is the configured group, where the command has observed it.
	observed *rollout.Observation
}

// holder is this process, as locks and tags name it.
func (o opener) holder() owner.Holder { return owner.Self(o.env) }

// openGroup is a group ready to be looked at or changed.
type openGroup struct {
	*rollout.Engine
	name    string
	clients *aws.Clients
	store   artifact.Store
}

// group opens the store and AWS, and makes the rollout that cfg describes. ro
// holds what is not configuration.
func (o opener) group(ctx context.Context, cfg cli.Config, ro rollout.Options) (openGroup, error) {
	if err := cfg.Need("store", "group"); err != nil {
		return openGroup{}, err
	}
	clients, store, err := openWithAWS(ctx, cfg)
	if err != nil {
		return openGroup{}, err
	}
	ro.Cloud, ro.Store, ro.StoreURL, ro.Group = clients.Cloud(), store, cfg.Store, cfg.Group
	ro.Refresh, ro.FirstNode, ro.Poll, ro.Lease = cfg.Refresh, cfg.FirstNode, cfg.Poll, cfg.Lease
	ro.Site, ro.Snapshot = openSite(cfg, clients), snapshotHook(cfg.DatabaseSnapshot)
	ro.Holder, ro.Alive, ro.AfterStep = o.holder(), owner.Alive, o.afterStep
	b, err := rollout.New(ro)
	if err != nil {
		return openGroup{}, err
	}
	return openGroup{b, cfg.Group, clients, store}, nil
}

// current is the version that the configured group runs, empty when that is no
// release of wpbake. Nobody observes twice for it.
func (o opener) current(ctx context.Context, cfg cli.Config) (artifact.Version, error) {
	if o.observed != nil {
		return o.observed.Status().Version, nil
	}
	r, err := o.group(ctx, cfg, rollout.Options{})
	if err != nil {
		return "", err
	}
	st, err := r.Status(ctx)
	return st.Version, err
}

// storeURL is a parsed store: a bucket and prefix, a directory, or a registry's
// repository.
type storeURL struct {
	bucket, prefix string
	dir            string
	repository     string
}

// S3's own rule for names of general purpose buckets.
var bucketName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{1,61})[a-z0-9]$`)

func parseStore(s string) (storeURL, error) {
	u, err := splitStore(s)
	if err != nil {
		return storeURL{}, cli.Misuse(fmt.Errorf("store %q: %w", s, err), "--store s3://BUCKET/PREFIX, --store oci://HOST/REPO or --store dir:///PATH")
	}
	return u, nil
}

func splitStore(s string) (storeURL, error) {
	kind, rest, ok := strings.Cut(s, "://")
	if !ok {
		return storeURL{}, errors.New("not a URL")
	}
	switch kind {
	case "s3":
		bucket, prefix, _ := strings.Cut(rest, "/")
		if !bucketName.MatchString(bucket) || strings.Contains(bucket, "..") {
			return storeURL{}, fmt.Errorf("bucket %q: want 3 to 63 of lower-case letters, digits, '-', '.'", bucket)
		}
		prefix = strings.TrimSuffix(prefix, "/")
		for part := range strings.SplitSeq(prefix, "/") {
			if prefix != "" && (part == "" || part == "." || part == "..") {
				return storeURL{}, fmt.Errorf("prefix %q has an empty or dotted part", prefix)
			}
		}
		return storeURL{bucket: bucket, prefix: prefix}, nil
	case "dir":
		if !strings.HasPrefix(rest, "/") {
			return storeURL{}, fmt.Errorf("%q is not an absolute path", rest)
		}
		return storeURL{dir: filepath.Clean(rest)}, nil
	case "oci":
		return storeURL{repository: rest}, ocistore.Check(ocistore.Options{Repository: rest})
	default:
		return storeURL{}, fmt.Errorf("no stores of kind %q", kind)
	}
}

// parseRolloutStore accepts a store that rollouts can be kept in.
func parseRolloutStore(s string) (storeURL, error) {
	u, err := parseStore(s)
	if err == nil && u.repository != "" {
		err = cli.Misuse(
			fmt.Errorf("store %q: a registry keeps no rollouts: their lock and record need conditional writes, which registries lack", s),
			"--store s3://BUCKET/PREFIX for what concerns a group; publish, fetch, verify, show and diff take oci:// too")
	}
	return u, err
}

// openRollouts opens the configured store for rollouts. clients may be nil when
// nothing else of AWS is needed; they are made for a bucket then.
func openRollouts(ctx context.Context, cfg cli.Config, clients *aws.Clients) (artifact.Store, error) {
	if err := cfg.Need("store"); err != nil {
		return nil, err
	}
	u, err := parseRolloutStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	if u.dir != "" {
		return dirstore.New(u.dir)
	}
	if clients == nil {
		if clients, err = loadAWS(ctx, cfg); err != nil {
			return nil, err
		}
	}
	return timed.Store(s3store.New(clients.S3(), u.bucket, u.prefix, cfg.BucketOwner)), nil
}

// openDirectory opens what was built on this machine as a store.
func openDirectory(dir string) (artifact.Store, error) { return dirstore.New(dir) }

// openWithAWS opens the configured store for rollouts, and AWS.
func openWithAWS(ctx context.Context, cfg cli.Config) (*aws.Clients, artifact.Store, error) {
	if _, err := parseRolloutStore(cfg.Store); err != nil {
		return nil, nil, err
	}
	clients, err := loadAWS(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	store, err := openRollouts(ctx, cfg, clients)
	return clients, store, err
}

// openReleases opens the configured store for releases alone.
func openReleases(ctx context.Context, cfg cli.Config) (artifact.ReleaseStore, error) {
	if u, err := parseStore(cfg.Store); err == nil && u.repository != "" {
		registry, err := ocistore.New(ocistore.Options{Repository: u.repository, Base: cfg.BaseImage})
		if err != nil {
			return nil, err
		}
		return timed.Releases(registry), nil
	}
	return openRollouts(ctx, cfg, nil)
}

// checkBase refuses a base image where there are no images. In a file it may
// stand for the times when the store is a registry.
func checkBase(cfg cli.Config, flag string) error {
	u, err := parseStore(cfg.Store)
	if err != nil {
		return err
	}
	if flag != "" && u.repository == "" {
		return cli.Misuse(
			fmt.Errorf("--base-image %q: the store %q holds no images", flag, cfg.Store),
			"leave it out, or --store oci://HOST/REPO")
	}
	if u.repository == "" {
		return nil
	}
	if err := ocistore.Check(ocistore.Options{Repository: u.repository, Base: cfg.BaseImage}); err != nil {
		return cli.Misuse(err, "--base-image php:8.3-fpm")
	}
	return nil
}

// readReleases opens the store for a command that only reads releases.
func readReleases(ctx context.Context, cfg cli.Config) (artifact.ReleaseStore, error) {
	if err := refuseMistyped(cfg); err != nil {
		return nil, err
	}
	return openReleases(ctx, cfg)
}

// readRollouts opens the store for a command that only reads rollouts.
func readRollouts(ctx context.Context, cfg cli.Config) (artifact.Store, error) {
	if err := refuseMistyped(cfg); err != nil {
		return nil, err
	}
	return openRollouts(ctx, cfg, nil)
}

// refuseMistyped refuses a directory that is not there: who reads does not make it.
func refuseMistyped(cfg cli.Config) error {
	u, err := parseStore(cfg.Store)
	if err != nil || u.dir == "" {
		return nil // for who opens it to say
	}
	if _, err := os.Stat(u.dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return cli.Hinted(
		fmt.Errorf("no store %q: the directory does not exist", cfg.Store),
		"correct the store's URL; wpbake publish makes a store in a new directory")
}

func loadAWS(ctx context.Context, cfg cli.Config) (*aws.Clients, error) {
	return aws.Load(ctx, aws.Options{Region: cfg.Region})
}

// openRegions connects to the configured region and to those that bakes are
// copied to, each once.
func openRegions(ctx context.Context, cfg cli.Config) ([]*aws.Clients, error) {
	here, err := loadAWS(ctx, cfg)
	if err != nil {
		return nil, err
	}
	all, seen := []*aws.Clients{here}, map[string]bool{here.Region(): true}
	for _, region := range cfg.Bake.Regions {
		if seen[region] {
			continue
		}
		seen[region], cfg.Region = true, region
		there, err := loadAWS(ctx, cfg)
		if err != nil {
			return nil, err
		}
		all = append(all, there)
	}
	return all, nil
}
