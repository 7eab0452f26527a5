// Package deptest holds the house's rules as tests: what each folder must not
// import, and how large a package, a type, a file or a function may be. It
// knows import paths and sizes, and nothing of what the code does.
package deptest
