package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// minorUpdate is how many files of WordPress's core a minor update changes, as
// 7.0.0 to 7.0.1 did.
const minorUpdate = 132

// changeFile changes a file, as an edit of a plugin does.
func (c corpus) changeFile(round int) error {
	name, err := c.phpFile()
	if err != nil {
		return err
	}
	return changeLastLine(name, fmt.Sprintf("// bench %d", round))
}

// changePlugin changes two files in three of a plugin of middling size, as an
// update does.
func (c corpus) changePlugin(round int) error {
	files, err := c.pluginFiles()
	if err != nil {
		return err
	}
	for i, name := range files {
		if i%3 == 2 {
			continue
		}
		if err := changeLastLine(name, fmt.Sprintf("// bench %d", round)); err != nil {
			return err
		}
	}
	return nil
}

// changeCore changes files all over WordPress's core, and adds one.
func (c corpus) changeCore(round int) error {
	var files []string
	for _, dir := range []string{"wp-admin", "wp-includes"} {
		err := filepath.WalkDir(filepath.Join(c.Tree, dir), func(p string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(p) == ".php" {
				files = append(files, p)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	slices.Sort(files)
	if len(files) < minorUpdate {
		return fmt.Errorf("the corpus has %d files of core, and a minor update changes %d", len(files), minorUpdate)
	}
	for i := range minorUpdate {
		// As in an update, files grow and shrink.
		line := fmt.Sprintf("// bench %d %s", round, strings.Repeat("=", (round+1)*(i+7)*7919%700))
		if err := changeLastLine(files[i*len(files)/minorUpdate], line); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(c.Tree, "wp-includes", fmt.Sprintf("bench%d.php", round+1)), []byte("<?php // new\n"), 0o644)
}

// changeLastLine puts a line in the place of the one it put there before.
func changeLastLine(name, line string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if i := bytes.LastIndex(b, []byte("\n// bench ")); i >= 0 {
		b = b[:i]
	}
	return os.WriteFile(name, append(b, "\n"+line...), 0o644)
}
