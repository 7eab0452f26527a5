// Package deptest holds the house's table of folders: what each must not
// import, as a test. It knows import paths and nothing else.
package deptest
