package php

import (
	"bytes"
	"context"
	_ "embed" // parse.php
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
)

// parsePHP reads names of files, separated by zero bytes, and says which of
// them PHP cannot parse. It runs none of them.
//
//go:embed parse.php
var parsePHP string

// Program is a command-line PHP that parses files. It reads no php.ini.
type Program struct {
	Path    string // as exec.LookPath found it
	Dir     string // the tree's directory
	version string
}

// Open asks a PHP for its version.
func Open(ctx context.Context, program, dir string) (*Program, error) {
	out, err := exec.CommandContext(ctx, program, "-n", "-r", "echo PHP_VERSION;").Output()
	if err != nil {
		return nil, fmt.Errorf("asking %q for its version: %w", program, err)
	}
	v := strings.TrimSpace(string(out))
	if n, rest := LeadingNumber(v); n < 5 || rest == "" {
		return nil, fmt.Errorf("asking %q for its version: it answers %q", program, printable.Cut(printable.Clean(v), 40))
	}
	return &Program{Path: program, Dir: dir, version: v}, nil
}

// Version is PHP's own, such as 8.2.36.
func (p *Program) Version() string { return p.version }

// SyntaxError is what PHP says of a file.
type SyntaxError struct {
	Path    string
	Line    int
	Message string
}

// Parse returns what cannot be parsed of the named files below the tree, with
// one process for all of them.
func (p *Program) Parse(ctx context.Context, files []string) ([]SyntaxError, error) {
	// The tokenizer is built in, or a module that -n leaves out.
	args := []string{"-n", "-d", "display_errors=0", "-d", "memory_limit=1G", "-d", "short_open_tag=0", "-r", parsePHP}
	out, err := p.run(ctx, args, files)
	if noTokenizer(err) {
		out, err = p.run(ctx, append([]string{"-d", "extension=tokenizer"}, args...), files)
	}
	if err != nil {
		return nil, fmt.Errorf("parsing PHP with %q: %w", p.Path, err)
	}
	known := make(map[string]bool, len(files))
	for _, f := range files {
		known[f] = true
	}
	fields := strings.Split(string(out), "\x00")
	if len(fields) == 0 || fields[len(fields)-1] != "done\n" {
		return nil, fmt.Errorf("parsing PHP with %q: it ended early", p.Path)
	}
	var bad []SyntaxError
	for row := range slices.Chunk(fields[:len(fields)-1], 3) {
		line, err := strconv.Atoi(row[min(1, len(row)-1)])
		if len(row) < 3 || err != nil || !known[row[0]] {
			return nil, fmt.Errorf("parsing PHP with %q: it answers what is no answer", p.Path)
		}
		bad = append(bad, SyntaxError{Path: row[0], Line: line, Message: printable.Cut(printable.Clean(row[2]), 300)})
	}
	return bad, nil
}

const exitNoTokenizer = 9

func noTokenizer(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == exitNoTokenizer
}

func (p *Program) run(ctx context.Context, args, files []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.Dir = p.Dir
	cmd.Stdin = strings.NewReader(strings.Join(files, "\x00"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if said := printable.Clean(printable.Cut(errs.String(), 300)); said != "" {
			return nil, fmt.Errorf("%w: %s", err, said)
		}
		return nil, err
	}
	return out.Bytes(), nil
}
