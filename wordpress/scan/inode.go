package scan

// ID returns what a file is on its disk, where that can tell two names of one
// file. A tree whose file information says it itself is believed.
func (f *File) ID() (id [2]uint64, ok bool) {
	if told, says := f.Info.(interface{ FileID() ([2]uint64, bool) }); says {
		return told.FileID()
	}
	return sysID(f.Info)
}
