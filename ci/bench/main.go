// Command bench measures wpbake against the programs that people would use in
// its place, on this machine.
//
// It knows the corpora, the works, the peers' command lines and the goals. It
// drives the wpbake binary as a user would and refuses to know its packages.
// A ratio that misses its goal is printed as such and is no failure: a shared
// machine's times are no verdict.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// options are the command's flags.
type options struct {
	wpbake  string
	base    string
	dir     string
	corpora string
	only    string
	rounds  int
	packer  string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == measuring {
		os.Exit(measureChild(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.wpbake, "wpbake", "", "the wpbake `program`")
	flag.StringVar(&o.base, "base", "", "the WordPress `tree` that corpora are made from")
	flag.StringVar(&o.dir, "dir", "", "where corpora and results lie")
	flag.StringVar(&o.corpora, "corpora", "small,medium", "`names` out of small, medium, large")
	flag.StringVar(&o.only, "only", "", "measure only works whose name begins with `text`")
	flag.StringVar(&o.packer, "packer", "", "the packer `program`, with its plugins where it looks for them; without it no AMI is baked")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds after the warm-up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	for _, path := range []*string{&o.wpbake, &o.base, &o.dir} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	if o.rounds < 1 {
		return errors.New("want at least one round")
	}
	done, err := alone(o.dir)
	if err != nil {
		return err
	}
	defer done()
	cloud, err := startCloud(ctx, o)
	if err != nil {
		return err
	}
	defer cloud.stop()
	report := report{Machine: describeMachine(ctx, o.dir), Rounds: o.rounds}
	for name := range strings.SplitSeq(o.corpora, ",") {
		c, err := makeCorpus(o, name)
		if err != nil {
			return err
		}
		results, err := measure(ctx, &bench{options: o, corpus: c, cloud: cloud, scratch: filepath.Join(o.dir, "scratch", c.Name)})
		report.Corpora = append(report.Corpora, c)
		report.Results = append(report.Results, results...)
		if err != nil {
			return err
		}
	}
	report.Machine.LoadAfter = load()
	report.print(os.Stdout)
	return errors.Join(report.write(filepath.Join(o.dir, "results.json")), tidy(o.dir))
}

// alone keeps a second run out of a directory: they would disturb each other's
// files and times.
func alone(dir string) (done func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("locking %q: %w: another run is at it", dir, err)
	}
	return func() { lock.Close() }, nil
}

// measure runs all works on one corpus.
func measure(ctx context.Context, b *bench) ([]result, error) {
	if err := os.MkdirAll(b.scratch, 0o755); err != nil {
		return nil, err
	}
	defer b.unmount()
	var results []result
	for _, w := range b.works() {
		if !strings.HasPrefix(w.name, b.only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", b.corpus.Name, w.name)
		r, err := w.contest(ctx, b.cloud.env, b.rounds)
		if err != nil {
			return results, fmt.Errorf("%s: %s: %w", b.corpus.Name, w.name, err)
		}
		r.Corpus = b.corpus.Name
		results = append(results, r)
	}
	return results, nil
}

// unmount ends the mounts of images.
func (b *bench) unmount() {
	mounted, err := filepath.Glob(b.out("image/*.mounted"))
	if err != nil {
		return
	}
	for _, dir := range mounted {
		if err := syscall.Unmount(dir, 0); err != nil {
			fmt.Fprintf(os.Stderr, "bench: unmounting %s: %v\n", dir, err)
		}
	}
}

// tidy removes what the works left. It comes last: after thousands of files
// are deleted, ext4 writes slowly for a while.
func tidy(dir string) error { return os.RemoveAll(filepath.Join(dir, "scratch")) }
