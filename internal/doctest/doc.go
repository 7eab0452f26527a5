// Package doctest holds what the documents promise to their readers, as tests:
// decisions are complete and numbered, links lead somewhere, and what the
// architecture names is in the code. It knows text and refuses to know what
// the code does.
package doctest
