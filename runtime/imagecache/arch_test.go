package imagecache_test

import (
	goruntime "runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
)

const goarch = goruntime.GOARCH

func emptyIndex() v1.ImageIndex { return empty.Index }
