// chokidar, polling as its documentation says for network file systems:
//     node feed_chokidar.js PATH-OF-THE-PACKAGE DIR
const { watch } = require(process.argv[2]);
watch(process.argv[3], { usePolling: true })
    .on("ready", () => console.log("ready"))
    .on("all", (event, path) => console.log(event, path));
