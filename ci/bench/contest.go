package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// work is one thing that wpbake and a peer both do.
type work struct {
	name  string
	goal  float64                                    // ratio of times; 0 is none
	ours  func(round int) []string                   // the command of a round
	peer  func(round int) []string                   // "
	ready func(ctx context.Context, round int) error // before ours; not timed; may be nil
	sizes func() (ours, peer int64, err error)       // of what was made; may be nil
}

// result is what came of a work. Times are seconds.
type result struct {
	Corpus string    `json:"corpus"`
	Work   string    `json:"work"`
	Peer   string    `json:"peer"`
	Ours   []float64 `json:"ours_seconds"`
	Peers  []float64 `json:"peer_seconds"`
	Ratio  float64   `json:"ratio"` // the median of the rounds' ratios
	Goal   float64   `json:"goal,omitempty"`
	Size   float64   `json:"size_ratio,omitempty"`
	Memory int64     `json:"memory_bytes"` // the largest that ours was in memory
}

// contest runs both in turn, once unmeasured and then so many rounds: what
// slows the machine down for a while slows both.
func (w work) contest(ctx context.Context, rounds int) (result, error) {
	r := result{Work: w.name, Goal: w.goal, Peer: strings.Join(w.peer(0), " ")}
	var ratios []float64
	for round := range rounds + 1 {
		if w.ready != nil {
			if err := w.ready(ctx, round); err != nil {
				return r, err
			}
		}
		ours, err := spend(ctx, w.ours(round))
		if err != nil {
			return r, err
		}
		peer, err := spend(ctx, w.peer(round))
		if err != nil {
			return r, err
		}
		if round == 0 {
			continue
		}
		r.Ours = append(r.Ours, ours.seconds)
		r.Peers = append(r.Peers, peer.seconds)
		r.Memory = max(r.Memory, ours.memory)
		ratios = append(ratios, ours.seconds/peer.seconds)
	}
	r.Ratio = median(ratios)
	if w.sizes != nil {
		ours, peer, err := w.sizes()
		if err != nil {
			return r, err
		}
		r.Size = float64(ours) / float64(peer)
	}
	return r, nil
}

// spent is what a command cost.
type spent struct {
	seconds float64
	memory  int64
}

func spend(ctx context.Context, argv []string) (spent, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun).Seconds()
	if err != nil {
		return spent{}, fmt.Errorf("running %q: %w\n%s", strings.Join(argv, " "), err, out.Bytes())
	}
	s := spent{seconds: took}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.memory = usage.Maxrss << 10
	}
	return s, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
