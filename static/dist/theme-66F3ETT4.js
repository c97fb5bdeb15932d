try{let t=localStorage.getItem("berth.theme");(t==="light"||t==="dark")&&(document.documentElement.dataset.theme=t)}catch{}
