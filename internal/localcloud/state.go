package localcloud

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	stateFormat = 1
	// settle is how long changes are gathered before they are written.
	settle = 50 * time.Millisecond
)

// savedState is state.json. It holds the secret key: nobody else may read it.
type savedState struct {
	Format    int                        `json:"format"`
	Region    string                     `json:"region"`
	Account   string                     `json:"account"`
	AccessKey string                     `json:"access_key"`
	SecretKey string                     `json:"secret_key"`
	Network   byte                       `json:"network"`
	Services  map[string]json.RawMessage `json:"services"`
}

// keeper is a service whose state the cloud keeps. S3 keeps its own.
type keeper interface {
	Snapshot() ([]byte, error)
	Restore([]byte) error
}

func (c *Cloud) keepers() map[string]keeper {
	return map[string]keeper{
		"ec2": c.ec2, "autoscaling": c.autoscaling, "elb": c.elb, "cloudwatch": c.cloudwatch, "ssm": c.ssm, "iam": c.iam,
	}
}

func stateFile(dir string) string { return filepath.Join(dir, "state.json") }

// checkDir refuses a directory in which anybody could put another state.
func checkDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is made for this user alone
	}
	if err != nil {
		return fmt.Errorf("looking at the local cloud's directory: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("keeping the local cloud's state in %q: every user of this machine may write there", dir)
	}
	return nil
}

func readState(dir string) (savedState, error) {
	var saved savedState
	if dir == "" {
		return saved, nil
	}
	data, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return saved, nil
	}
	if err != nil {
		return saved, fmt.Errorf("reading the local cloud's state: %w", err)
	}
	if err := json.Unmarshal(data, &saved); err != nil {
		return saved, fmt.Errorf("reading the local cloud's state %q: %w", stateFile(dir), err)
	}
	if saved.Format != stateFormat {
		return saved, fmt.Errorf("reading the local cloud's state %q: it has format %d, this program knows %d", stateFile(dir), saved.Format, stateFormat)
	}
	return saved, nil
}

// complete fills what the options leave open, from the saved state first.
func (s savedState) complete(o Options) Options {
	o.Region = cmp.Or(o.Region, s.Region, "eu-central-1")
	o.Account = cmp.Or(o.Account, s.Account, "123456789012")
	o.AccessKey = cmp.Or(o.AccessKey, s.AccessKey, newAccessKey())
	o.SecretKey = cmp.Or(o.SecretKey, s.SecretKey, rand.Text())
	o.Speed = cmp.Or(o.Speed, 1)
	return o
}

func (c *Cloud) restore(saved savedState) error {
	for name, service := range c.keepers() {
		if snapshot, ok := saved.Services[name]; ok {
			if err := service.Restore(snapshot); err != nil {
				return fmt.Errorf("restoring the local cloud: %w", err)
			}
		}
	}
	return nil
}

// touch notes that there is something to save.
func (c *Cloud) touch() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// keepSaving writes the state soon after each change.
func (c *Cloud) keepSaving(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.changed:
		}
		select {
		case <-ctx.Done():
			return nil // Run saves at the very end
		case <-time.After(settle):
		}
		if err := c.save(); err != nil {
			return err
		}
	}
}

// save writes the state beside the old one and moves it over.
func (c *Cloud) save() error {
	if c.options.Dir == "" {
		return nil
	}
	c.saving.Lock()
	defer c.saving.Unlock()
	state := savedState{
		Format: stateFormat, Region: c.options.Region, Account: c.options.Account,
		AccessKey: c.options.AccessKey, SecretKey: c.options.SecretKey,
		Network: c.network.number, Services: map[string]json.RawMessage{},
	}
	for name, service := range c.keepers() {
		snapshot, err := service.Snapshot()
		if err != nil {
			return fmt.Errorf("saving the local cloud's %s: %w", name, err)
		}
		state.Services[name] = snapshot
	}
	data, err := json.Marshal(state)
	if err == nil {
		err = replaceFile(stateFile(c.options.Dir), data)
	}
	if err != nil {
		return fmt.Errorf("saving the local cloud's state: %w", err)
	}
	return nil
}

func replaceFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
