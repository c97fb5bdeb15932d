package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"berth/runtime/imagecache"
	"berth/runtime/imagecache/unpack"
)

// imageCmd is `berth image`: the images that sessions start from.
type imageCmd struct {
	DataDir string `help:"Where Berth keeps its data." default:"/var/lib/berth" env:"BERTH_DATA_DIR" type:"path"`

	Import imageImportCmd `cmd:"" help:"Bring in an image from a file: docker save, OCI layout, or a root file system."`
	Pull   imagePullCmd   `cmd:"" help:"Fetch an image from a registry."`
	Ls     imageLsCmd     `cmd:"" aliases:"list" help:"List the images."`
	Rm     imageRmCmd     `cmd:"" aliases:"remove" help:"Remove images, and the layers that nothing needs any more."`
	Prune  imagePruneCmd  `cmd:"" help:"Remove the layers that nothing needs: of failed imports and ended sessions."`
}

// unpackLayerCmd is the hidden child that unpacks layers for `berth image`.
type unpackLayerCmd struct{}

func (unpackLayerCmd) Run() error {
	if status := unpack.Child(); status != 0 {
		return exitStatus(status)
	}
	return nil
}

// budgetFlags bound what one layer may cost.
type budgetFlags struct {
	MaxLayerBytes int64 `help:"Most bytes that one layer may unpack to (default 16 GiB)." group:"Budgets"`
	MaxEntries    int64 `help:"Most entries of one layer (default a million)." group:"Budgets"`
	MaxFileBytes  int64 `help:"Most bytes of one file (default 8 GiB)." group:"Budgets"`
	MaxRatio      int64 `help:"Most bytes that one compressed byte may unpack to (default 200)." group:"Budgets"`
	MaxDepth      int64 `help:"Most components of a file's name (default 256)." group:"Budgets"`
}

func (b budgetFlags) budgets() unpack.Budgets {
	return unpack.Budgets{Bytes: b.MaxLayerBytes, Entries: b.MaxEntries, FileBytes: b.MaxFileBytes, Ratio: b.MaxRatio, Depth: b.MaxDepth}
}

// open opens the cache. Writing to it needs root: layers hold files of every owner.
func (c *imageCmd) open(b budgetFlags) (*imagecache.Cache, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("the image cache belongs to root: run this as root, with sudo for example")
	}
	return imagecache.Open(filepath.Join(c.DataDir, "images"), imagecache.WithUnpack(unpack.Options{Budgets: b.budgets()}))
}

func tell(line string) { fmt.Fprintln(os.Stderr, line) }

type imageImportCmd struct {
	File   string   `arg:"" help:"Archive or directory; - for standard input."`
	Name   string   `help:"Name of the image; needed where the file has none."`
	Rootfs bool     `help:"The file is a tar of a root file system."`
	Cmd    []string `help:"With --rootfs: what a container runs by default; once for each word." sep:"none" placeholder:"WORD"`
	Env    []string `help:"With --rootfs: NAME=value; may be repeated." sep:"none" placeholder:"NAME=value"`

	budgetFlags `embed:""`
}

func (c *imageImportCmd) Run(ctx context.Context, parent *imageCmd) error {
	cache, err := parent.open(c.budgetFlags)
	if err != nil {
		return err
	}
	if !c.Rootfs {
		images, err := cache.Import(ctx, c.File, imagecache.ImportOptions{Name: c.Name, Progress: tell})
		printImported(images...)
		return err
	}
	if c.Name == "" {
		return fmt.Errorf("a root file system has no name of its own: give it one with --name")
	}
	created, err := sourceDate()
	if err != nil {
		return err
	}
	image, err := cache.ImportRootFS(ctx, c.File, imagecache.RootFSOptions{
		Name: c.Name, Cmd: c.Cmd, Env: c.Env, Created: created, Progress: tell,
	})
	if err == nil {
		printImported(image)
	}
	return err
}

func printImported(images ...imagecache.Image) {
	for _, i := range images {
		fmt.Printf("%s %s\n", i.Name, shortID(i.ID))
	}
}

type imagePullCmd struct {
	Ref      string        `arg:"" help:"Image, as docker pull takes it."`
	Name     string        `help:"Another name for the image here."`
	Insecure bool          `help:"Allow a registry that speaks plain HTTP."`
	Timeout  time.Duration `help:"Give up after this time; 0: never." default:"0"`

	budgetFlags `embed:""`
}

func (c *imagePullCmd) Run(ctx context.Context, parent *imageCmd) error {
	cache, err := parent.open(c.budgetFlags)
	if err != nil {
		return err
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("it took longer than --timeout %s", c.Timeout))
		defer cancel()
	}
	image, err := cache.Pull(ctx, c.Ref, imagecache.PullOptions{Name: c.Name, Insecure: c.Insecure, Progress: tell})
	if err == nil {
		printImported(image)
	}
	return err
}

type imageLsCmd struct {
	Ref  []string `arg:"" optional:"" help:"Only these; fails where one is missing."`
	JSON bool     `help:"As JSON."`
}

func (c *imageLsCmd) Run(parent *imageCmd) error {
	cache, err := parent.open(budgetFlags{})
	if err != nil {
		return err
	}
	images, err := c.images(cache)
	if err != nil {
		return err
	}
	if c.JSON {
		if images == nil {
			images = []imagecache.Image{}
		}
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(images)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tSIZE\tLAYERS\tCREATED")
	for _, i := range images {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", i.Name, shortID(i.ID), megabytes(i.Size), len(i.Layers), age(i.Created, time.Now()))
	}
	return w.Flush()
}

func (c *imageLsCmd) images(cache *imagecache.Cache) ([]imagecache.Image, error) {
	if len(c.Ref) == 0 {
		return cache.List()
	}
	var images []imagecache.Image
	for _, ref := range c.Ref {
		i, err := cache.Resolve(ref)
		if err != nil {
			return nil, err
		}
		images = append(images, i)
	}
	return images, nil
}

type imageRmCmd struct {
	Ref []string `arg:"" help:"Names, or IDs for all names of an image."`
}

func (c *imageRmCmd) Run(parent *imageCmd) error {
	cache, err := parent.open(budgetFlags{})
	if err != nil {
		return err
	}
	removed, err := cache.Remove(c.Ref...)
	return printRemoved(removed, err)
}

type imagePruneCmd struct{}

func (imagePruneCmd) Run(parent *imageCmd) error {
	cache, err := parent.open(budgetFlags{})
	if err != nil {
		return err
	}
	removed, err := cache.Prune()
	return printRemoved(removed, err)
}

func printRemoved(r imagecache.Removed, err error) error {
	for _, n := range r.Names {
		fmt.Println("removed", n)
	}
	if r.Layers > 0 {
		fmt.Printf("freed %s in %s\n", megabytes(r.Bytes), layers(r.Layers))
	}
	if r.Leased > 0 {
		fmt.Printf("%s kept: sandboxes have them mounted; `berth image prune` removes them afterwards\n", layers(r.Leased))
	}
	return err
}
