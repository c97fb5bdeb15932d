package image

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

// idPattern is an ID or the beginning of one.
var idPattern = regexp.MustCompile(`^sha256:[0-9a-f]{1,64}$`)

// parseName returns the full form of a reference: with its domain, and the tag latest where it has neither tag nor digest.
func parseName(ref string) (reference.Named, error) {
	n, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, invalid("invalid reference format: %s", reason(err))
	}
	if digested, ok := n.(reference.Digested); ok { // a tag beside a digest says nothing
		return reference.WithDigest(reference.TrimNamed(n), digested.Digest())
	}
	return reference.TagNameOnly(n), nil
}

// NameOnly reports whether a reference has neither tag nor digest.
func NameOnly(ref string) bool {
	n, err := reference.ParseNormalizedNamed(ref)
	return err == nil && reference.IsNameOnly(n)
}

// reason leaves out what the library repeats.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), "invalid reference format: ")
}

// parseTag is for names that an image shall get: no digest may be in them.
func parseTag(repo, tag string) (string, error) {
	n, err := reference.ParseNormalizedNamed(repo)
	if err != nil {
		if reason(err) == "invalid reference format" {
			return "", invalid("invalid reference format")
		}
		return "", invalid("invalid reference format: %s", reason(err))
	}
	if _, ok := n.(reference.Digested); ok {
		return "", invalid("refusing to create a tag with a digest reference")
	}
	if tag != "" {
		tagged, err := reference.WithTag(reference.TrimNamed(n), tag)
		if err != nil {
			return "", invalid("invalid tag format")
		}
		return tagged.String(), nil
	}
	return reference.TagNameOnly(n).String(), nil
}

// familiar is the short form of a full reference.
func familiar(full string) string {
	n, err := reference.ParseNormalizedNamed(full)
	if err != nil {
		return full
	}
	return reference.FamiliarString(n)
}

// noSuchImage is Docker's message for a reference that nothing has.
func noSuchImage(ref string) error {
	if n, err := reference.ParseAnyReference(ref); err == nil {
		if named, ok := n.(reference.Named); ok {
			ref = reference.FamiliarString(reference.TagNameOnly(named))
		}
	} else {
		return &classified{message: fmt.Sprintf("invalid reference format: %s", reason(err)), class: errdefs.ErrInvalidArgument}
	}
	return notFound("No such image: %s", ref)
}
