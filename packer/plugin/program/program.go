// Package program runs wpbake for the plugin's components. It knows how to find
// it and how it answers; what is asked, each component knows.
package program

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Find looks for wpbake where the configuration says, or on PATH.
func Find(named string) (string, error) {
	found, err := exec.LookPath(cmp.Or(named, "wpbake"))
	if err != nil {
		return "", errors.Join(err, errors.New("set wpbake to the path of the program"))
	}
	return found, nil
}

// Ask runs wpbake and reads its answer, one object, into answer.
func Ask(ctx context.Context, program string, answer any, words ...string) error {
	cmd := exec.CommandContext(ctx, program, words...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, lastError(said.String()))
	}
	if err := json.Unmarshal(out.Bytes(), answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", program, err)
	}
	return nil
}

// lastError is the line that says why, not the hint below it.
func lastError(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], "wpbake: error:") {
			return lines[i]
		}
	}
	return lines[len(lines)-1]
}
