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
	"github.com/wpbake/wpbake/artifact/s3store"
	"github.com/wpbake/wpbake/internal/aws"
)

// storeURL is a parsed store: a bucket and prefix, or a directory.
type storeURL struct {
	bucket, prefix string
	dir            string
}

// S3's own rule for names of general purpose buckets.
var bucketName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{1,61})[a-z0-9]$`)

func parseStore(s string) (storeURL, error) {
	u, err := splitStore(s)
	if err != nil {
		return storeURL{}, &usageError{err: fmt.Errorf("store %q: %w", s, err), hint: "--store s3://BUCKET/PREFIX or --store dir:///PATH"}
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
	default:
		return storeURL{}, fmt.Errorf("no stores of kind %q", kind)
	}
}

// openStore opens the configured store. clients may be nil when nothing else
// of AWS is needed; they are made for a bucket then.
func openStore(ctx context.Context, cfg Config, clients *aws.Clients) (artifact.Store, error) {
	if err := cfg.need("store"); err != nil {
		return nil, err
	}
	u, err := parseStore(cfg.Store)
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

// lookInto opens the store for a command that only reads: a directory that is
// not there is a mistyped one, and is not made.
func lookInto(ctx context.Context, cfg Config) (artifact.Store, error) {
	if u, err := parseStore(cfg.Store); err == nil && u.dir != "" {
		if _, err := os.Stat(u.dir); errors.Is(err, fs.ErrNotExist) {
			return nil, &hintedError{
				err:  fmt.Errorf("no store %q: the directory does not exist", cfg.Store),
				hint: "correct the store's URL; wpbake publish makes a store in a new directory",
			}
		}
	}
	return openStore(ctx, cfg, nil)
}

func loadAWS(ctx context.Context, cfg Config) (*aws.Clients, error) {
	return aws.Load(ctx, aws.Options{Region: cfg.Region})
}
