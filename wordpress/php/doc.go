// Package php reads PHP as far as it can be known without running it: tokens,
// values of simple expressions, what is assigned to variables, serialized
// arrays, versions, and what PHP says in its logs or when it parses a file.
//
// It knows the language, and refuses to know WordPress and to run any code of
// a tree.
package php
