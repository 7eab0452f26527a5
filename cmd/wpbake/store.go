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
	"github.com/wpbake/wpbake/internal/aws"
)

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
		return storeURL{}, &usageError{err: fmt.Errorf("store %q: %w", s, err), hint: "--store s3://BUCKET/PREFIX, --store oci://HOST/REPO or --store dir:///PATH"}
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
		err = &usageError{
			err:  fmt.Errorf("store %q: a registry keeps no rollouts: their lock and record need conditional writes, which registries lack", s),
			hint: "--store s3://BUCKET/PREFIX for what concerns a group; publish, fetch, verify, show and diff take oci:// too",
		}
	}
	return u, err
}

// openStore opens the configured store for rollouts. clients may be nil when
// nothing else of AWS is needed; they are made for a bucket then.
func openStore(ctx context.Context, cfg Config, clients *aws.Clients) (artifact.Store, error) {
	if err := cfg.need("store"); err != nil {
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
	return s3store.New(clients.S3(), u.bucket, u.prefix, cfg.BucketOwner), nil
}

// openWithAWS opens the configured store for rollouts, and AWS.
func openWithAWS(ctx context.Context, cfg Config) (*aws.Clients, artifact.Store, error) {
	if _, err := parseRolloutStore(cfg.Store); err != nil {
		return nil, nil, err
	}
	clients, err := loadAWS(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	store, err := openStore(ctx, cfg, clients)
	return clients, store, err
}

// openReleases opens the configured store for releases alone.
func openReleases(ctx context.Context, cfg Config) (artifact.ReleaseStore, error) {
	if u, err := parseStore(cfg.Store); err == nil && u.repository != "" {
		return ocistore.New(ocistore.Options{Repository: u.repository, Base: cfg.BaseImage})
	}
	return openStore(ctx, cfg, nil)
}

// lookInto opens the store for a command that only reads releases.
func lookInto(ctx context.Context, cfg Config) (artifact.ReleaseStore, error) {
	if err := mistyped(cfg); err != nil {
		return nil, err
	}
	return openReleases(ctx, cfg)
}

// lookIntoRollouts opens the store for a command that only reads rollouts.
func lookIntoRollouts(ctx context.Context, cfg Config) (artifact.Store, error) {
	if err := mistyped(cfg); err != nil {
		return nil, err
	}
	return openStore(ctx, cfg, nil)
}

// mistyped refuses a directory that is not there: who reads does not make it.
func mistyped(cfg Config) error {
	u, err := parseStore(cfg.Store)
	if err != nil || u.dir == "" {
		return nil // for who opens it to say
	}
	if _, err := os.Stat(u.dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return &hintedError{
		err:  fmt.Errorf("no store %q: the directory does not exist", cfg.Store),
		hint: "correct the store's URL; wpbake publish makes a store in a new directory",
	}
}

func loadAWS(ctx context.Context, cfg Config) (*aws.Clients, error) {
	return aws.Load(ctx, aws.Options{Region: cfg.Region})
}
