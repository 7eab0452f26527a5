package bake

import (
	"fmt"
	"strings"

	"github.com/wpbake/wpbake/wordpress/rules"
)

// SettingError is a setting that names nothing useful.
type SettingError struct {
	Err  error
	hint string
}

func (e *SettingError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with it.
func (e *SettingError) Unwrap() error { return e.Err }

// Hint says what would be useful.
func (e *SettingError) Hint() string { return e.hint }

// Misuse says that whoever called can mend it, before anything was done.
func (e *SettingError) Misuse() bool { return true }

// Blocked is a tree that must not be released.
type Blocked struct {
	Tree     string
	Findings []rules.Finding // those that do not block as well
}

// How many findings an error names.
const namedFindings = 5

func (e *Blocked) Error() string {
	var names []string
	for _, f := range e.Findings {
		if f.Severity == rules.Block {
			names = append(names, f.ID+" "+f.Path)
		}
	}
	more := ""
	if n := len(names) - namedFindings; n > 0 {
		names, more = names[:namedFindings], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("tree %q is blocked by %s%s", e.Tree, strings.Join(names, ", "), more)
}

// Hint says what to do next.
func (e *Blocked) Hint() string {
	return "wpbake check " + e.Tree + " says why, and how to mend it; a waiver in wpbake.yaml lets one finding pass"
}
