package artifact

// Rules that a tree is refused by.
const (
	RuleLinkAbsolute = "tree/link-absolute" // a link with an absolute target
	RuleLinkEscape   = "tree/link-escape"   // a link that leaves the tree
	RuleLinkLoop     = "tree/link-loop"     // a link that leads back to itself or above itself
	RuleLinkDepth    = "tree/link-depth"    // a chain of more links than a node follows
	RuleLinkDangling = "tree/link-dangling" // a link to nothing, or to something left out
	RuleSpecial      = "tree/special"       // a pipe, socket or device
	RuleMode         = "tree/mode"          // a set-user-ID, set-group-ID or sticky file, a set-user-ID or sticky directory
	RuleName         = "tree/name"          // a name that other systems would garble
	RuleCollision    = "tree/case-collision"
	RuleMount        = "tree/mount" // another file system inside the tree
	RuleUnreadable   = "tree/unreadable"
	RuleDepth        = "tree/depth"   // nested too deeply
	RuleEntries      = "tree/entries" // too many entries
	RuleBytes        = "tree/bytes"   // too many bytes
)
