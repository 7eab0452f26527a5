package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/node/wait"
)

const (
	// identityTimeout is how long the metadata service may be silent after the
	// network came up.
	identityTimeout = time.Minute
	identityAttempt = 10 * time.Second
	identityPause   = time.Second
)

// identity is the stage in which a node finds out who it is.
type identity struct {
	metadata Metadata
	journal  *journal
}

// find asks until the metadata service answers.
func (i identity) find(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	for range wait.Every(ctx, identityPause) {
		if i.journal.report.Instance, err = i.ask(ctx); err == nil {
			return nil
		}
	}
	return fmt.Errorf("asking the metadata service: %w", err)
}

func (i identity) ask(ctx context.Context) (instance string, err error) {
	ctx, cancel := context.WithTimeout(ctx, identityAttempt)
	defer cancel()
	id, err := i.metadata.Instance(ctx)
	if err == nil && id.Instance == "" {
		err = errors.New("the answer has no instance id")
	}
	if err != nil {
		return "", err
	}
	return id.Instance, nil
}
