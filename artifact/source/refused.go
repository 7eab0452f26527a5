package source

import "fmt"

// Rules that an archive or a revision is refused by.
const (
	RuleFormat    = "source/format"    // nothing that can be read as a tree
	RulePath      = "source/path"      // a path that leaves the tree or means another thing elsewhere
	RuleDuplicate = "source/duplicate" // two entries of one path, or a file where a directory must be
	RuleLink      = "source/link"      // a link that is not relative, or could lead outside
	RuleSpecial   = "source/special"   // a device, a pipe, a privileged or a sparse file
	RuleEncrypted = "source/encrypted"
	RuleBomb      = "source/bomb"    // far more content than the archive's size explains
	RuleBytes     = "source/bytes"   // too many bytes
	RuleEntries   = "source/entries" // too many entries
	RuleDepth     = "source/depth"   // nested too deeply
	RuleDamaged   = "source/damaged" // cut off, altered, or with something before or after it
	RuleRevision  = "source/revision"
	RuleLFS       = "source/lfs"       // a pointer that stands for a file kept elsewhere
	RuleSubmodule = "source/submodule" // a repository in the repository
)

var hints = map[string]string{
	RuleFormat:    "want a directory, a .zip, .tar, .tar.gz, .tar.bz2, .tar.xz or .tar.zst, or git:PATH@REV",
	RulePath:      "do not unpack this archive by other means either, before it is known who made it",
	RuleDuplicate: "pack the tree again: which of the two is meant cannot be known",
	RuleLink:      "replace the link by what it points to, or pack the tree again without it",
	RuleSpecial:   "pack the tree again with directories, files and links alone",
	RuleEncrypted: "pack the tree again without a password",
	RuleBomb:      "do not unpack this archive by other means either, before it is known who made it",
	RuleBytes:     "leave mutable state out: uploads and caches do not belong to a release",
	RuleEntries:   "leave mutable state out: uploads and caches do not belong to a release",
	RuleDepth:     "such nesting is rarely meant: look at how the archive was made",
	RuleDamaged:   "fetch the archive again, and compare its checksum with its publisher's",
	RuleRevision:  "git -C PATH rev-parse REV says whether there is such a revision; a shallow clone lacks older ones",
	RuleLFS:       "git lfs pull, check the revision out and name that directory as the tree",
	RuleSubmodule: "git clone --recurse-submodules, and name that directory as the tree",
}

// Refused is an archive or a revision that is not taken as a tree.
type Refused struct {
	Rule   string // one of the Rule constants
	Source string // the archive or repository
	Entry  string // in it; empty when it is the whole
	Reason string
}

func refuse(rule, source, entry, reason string, args ...any) *Refused {
	return &Refused{Rule: rule, Source: source, Entry: entry, Reason: fmt.Sprintf(reason, args...)}
}

func (e *Refused) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("reading tree %q: it %s (%s)", e.Source, e.Reason, e.Rule)
	}
	return fmt.Sprintf("reading tree %q: entry %q %s (%s)", e.Source, e.Entry, e.Reason, e.Rule)
}

// Hint says what to do next.
func (e *Refused) Hint() string { return hints[e.Rule] }
