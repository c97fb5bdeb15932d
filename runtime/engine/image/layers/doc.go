// Package layers looks into images: what each layer adds, changes and removes, what the file system is as of any layer, which
// bytes are wasted, and how two images differ.
//
// It reads the directories in which layers are unpacked, never their archives. What a layer holds is known by an Index, which
// depends on nothing but the layer, so that it is kept on the session's disk and shared by images. A Stack lays the indexes of
// an image over each other, as overlay does with the directories.
package layers
