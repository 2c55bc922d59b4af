export {default as MiniSearch} from "minisearch";
export {stemmer} from "stemmer";
