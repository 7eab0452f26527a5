package ami

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
)

// Record is what is written down of an image, beside the release:
// releases/VERSION/images/ID.json. It says nothing that changes.
type Record struct {
	Format    int              `json:"format"`
	Version   artifact.Version `json:"version"`
	Manifest  artifact.Digest  `json:"manifest"`
	Image     string           `json:"image"`
	Region    string           `json:"region"`
	Account   string           `json:"account"`
	Name      string           `json:"name"`
	Snapshots []string         `json:"snapshots"`
	Run       string           `json:"run,omitempty"` // the bake that made it
	Created   time.Time        `json:"created"`
}

const recordFormat = 1

// recordName is the record's name in the store.
func recordName(v artifact.Version, id string) string {
	return artifact.ReleasePrefix(v) + "images/" + id + ".json"
}

// Write puts an image's record into the store; one that is there stays.
func Write(ctx context.Context, store artifact.ReleaseStore, v artifact.Version, one Image) error {
	text, err := json.MarshalIndent(Record{
		Format: recordFormat, Version: v, Manifest: artifact.Digest(one.Tags[owner.TagManifest]),
		Image: one.ID, Region: one.Region, Account: one.Account, Name: one.Name, Snapshots: one.Snapshots,
		Run: one.Tags[owner.TagRun], Created: one.Created.UTC(),
	}, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	body := artifact.Body{ReaderAt: bytes.NewReader(text), Size: int64(len(text)), Digest: artifact.DigestOf(text)}
	if _, err := store.Put(ctx, recordName(v, one.ID), body, artifact.Condition{Absent: true}); err != nil {
		return fmt.Errorf("recording image %q: %w", one.ID, err)
	}
	return nil
}
